// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit resets XCR0.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.xcr0 = XFEATURE_MASK_FP;
 	r = -EINTR;
 	goto out;
 }
 r = E;
