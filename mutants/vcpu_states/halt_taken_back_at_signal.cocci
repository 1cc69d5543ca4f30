// SPDX-License-Identifier: GPL-2.0-only
// A run that a signal ends after an exit for a HLT puts the program counter back to it.
@@
@@
 kvm_arch_vcpu_ioctl_run(struct kvm_vcpu *vcpu)
 {
 <...
 struct kvm_run *kvm_run = vcpu->run;
+bool halted = kvm_run->exit_reason == KVM_EXIT_HLT;
 ...>
 }

@@
@@
 r = vcpu_run(vcpu);
+if (r == -EINTR && halted)
+	kvm_rip_write(vcpu, kvm_rip_read(vcpu) - 1);
