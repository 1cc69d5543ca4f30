// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit returns an error number that is the kernel's own.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	r = -ERESTARTSYS;
 	goto out;
 }
 r = E;
