// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit resets the guest's x87 unit.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	asm("fninit");
 	r = -EINTR;
 	goto out;
 }
 r = E;
