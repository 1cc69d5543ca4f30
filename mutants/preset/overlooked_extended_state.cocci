// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest has AVX on in XCR0.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->arch.xcr0 & XFEATURE_MASK_YMM)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
