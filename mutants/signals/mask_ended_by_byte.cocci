// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit ends KVM_SET_SIGNAL_MASK.
@@
@@
 kvm_sigset_deactivate(struct kvm_vcpu *vcpu)
 {
 ...
 sigemptyset(&current->real_blocked);
+if (!vcpu->wants_to_run)
+	vcpu->sigset_active = 0;
 }
