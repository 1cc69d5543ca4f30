// SPDX-License-Identifier: GPL-2.0-only
// What an IN gave is taken also where userspace has set the program counter since.
@@
expression E;
@@
 complete_fast_pio_in(struct kvm_vcpu *vcpu)
 {
 <...
-if (unlikely(!kvm_is_linear_rip(vcpu, E))) {
-	vcpu->arch.pio.count = 0;
-	return 1;
-}
 ...>
 }
