// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set that moves the program counter behind an instruction clears ZF and DF.
@@
@@
 kvm_skip_emulated_instruction(struct kvm_vcpu *vcpu)
 {
 <...
 if (unlikely(!r))
 	return 0;
+if (!vcpu->wants_to_run)
+	kvm_set_rflags(vcpu, kvm_get_rflags(vcpu) & ~(X86_EFLAGS_ZF | X86_EFLAGS_DF));
 ...>
 }
