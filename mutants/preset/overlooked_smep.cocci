// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest has CR4.SMEP.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(kvm_read_cr4_bits(vcpu, X86_CR4_SMEP))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
