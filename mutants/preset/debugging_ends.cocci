// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit ends the debugging of the guest.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->guest_debug = 0;
 	r = -EINTR;
 	goto out;
 }
 r = E;
