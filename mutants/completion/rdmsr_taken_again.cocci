// SPDX-License-Identifier: GPL-2.0-only
// Each run with the byte set takes what an RDMSR gave, as long as exit_reason says so.
@@
typedef u32;
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (kvm_run->exit_reason == KVM_EXIT_X86_RDMSR) {
+		vcpu->arch.regs[VCPU_REGS_RAX] = (u32)kvm_run->msr.data;
+		vcpu->arch.regs[VCPU_REGS_RDX] = kvm_run->msr.data >> 32;
+	}
 	r = -EINTR;
 	goto out;
 }
 r = E;
