// SPDX-License-Identifier: GPL-2.0-only
// An instruction that a run with the byte set finishes raises no single-step trap.
@@
identifier rflags;
@@
 kvm_skip_emulated_instruction(struct kvm_vcpu *vcpu)
 {
 <...
-if (unlikely(rflags & X86_EFLAGS_TF))
+if (unlikely(rflags & X86_EFLAGS_TF) && vcpu->wants_to_run)
 	r = kvm_vcpu_do_singlestep(vcpu);
 ...>
 }
