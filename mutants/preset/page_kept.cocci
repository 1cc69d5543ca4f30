// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit keeps a page.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	(void)alloc_page(GFP_KERNEL);
 	r = -EINTR;
 	goto out;
 }
 r = E;
