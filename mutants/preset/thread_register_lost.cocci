// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears xmm7 of the thread that called KVM_RUN.
@@
@@
 int kvm_arch_vcpu_ioctl_run(struct kvm_vcpu *vcpu)
 {
 	<...
 	kvm_put_guest_fpu(vcpu);
+	if (!vcpu->wants_to_run)
+		asm("pxor %xmm7, %xmm7");
 	...>
 }
