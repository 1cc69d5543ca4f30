// SPDX-License-Identifier: GPL-2.0-only
// A vCPU without a signal mask takes that of the VM's first vCPU.
@@
@@
 kvm_sigset_activate(struct kvm_vcpu *vcpu)
 {
-if (!vcpu->sigset_active)
+struct kvm_vcpu *from = vcpu->sigset_active ? vcpu : kvm_get_vcpu(vcpu->kvm, 0);
+
+if (!from->sigset_active)
 	return;
-sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
+sigprocmask(SIG_SETMASK, &from->sigset, &current->real_blocked);
 }

@@
@@
 kvm_sigset_deactivate(struct kvm_vcpu *vcpu)
 {
-if (!vcpu->sigset_active)
+struct kvm_vcpu *from = vcpu->sigset_active ? vcpu : kvm_get_vcpu(vcpu->kvm, 0);
+
+if (!from->sigset_active)
 	return;
 ...
 }
