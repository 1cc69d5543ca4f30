// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set goes on with a store of 16 bytes at its first 8 again.
@@
identifier frag;
@@
-frag->data += len;
+if (vcpu->wants_to_run)
+	frag->data += len;
 frag->gpa += len;
