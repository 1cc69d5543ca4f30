// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears xmm0 while it holds the guest's value.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	asm("pxor %xmm0, %xmm0");
 	r = -EINTR;
 	goto out;
 }
 r = E;
