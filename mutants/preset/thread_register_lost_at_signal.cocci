// SPDX-License-Identifier: GPL-2.0-only
// A KVM_RUN that a signal ends clears xmm7 of the thread that called it.
@@
@@
 int kvm_arch_vcpu_ioctl_run(struct kvm_vcpu *vcpu)
 {
 	<...
 	kvm_put_guest_fpu(vcpu);
+	if (vcpu->wants_to_run && r == -EINTR)
+		asm("pxor %xmm7, %xmm7");
 	...>
 }
