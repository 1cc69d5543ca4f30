// SPDX-License-Identifier: GPL-2.0-only
// KVM_RUN drops the note that the thread's restartable sequence is stale.
@@
@@
 int kvm_arch_vcpu_ioctl_run(struct kvm_vcpu *vcpu)
 {
 	<...
 	r = vcpu_run(vcpu);
+	clear_thread_flag(TIF_NOTIFY_RESUME);
 	...>
 }
