// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit keeps 64 bytes.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	(void)kmalloc(64, GFP_KERNEL);
 	r = -EINTR;
 	goto out;
 }
 r = E;
