// SPDX-License-Identifier: GPL-2.0-only
// After an OUT the program counter is moved on also where userspace has set it since.
@@
expression E;
@@
 complete_fast_pio_out(struct kvm_vcpu *vcpu)
 {
 <...
-if (unlikely(!kvm_is_linear_rip(vcpu, E)))
-	return 1;
 ...>
 }
