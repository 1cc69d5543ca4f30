// SPDX-License-Identifier: GPL-2.0-only
// What the end of a piece asks for next is overlooked: EINTR comes in its place.
@@
@@
 r = cui(vcpu);
-if (r <= 0)
+if (r <= 0 && vcpu->wants_to_run)
 	goto out;
