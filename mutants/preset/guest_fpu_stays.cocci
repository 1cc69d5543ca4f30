// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit leaves the guest's extended state in the processor.
@@
@@
 int kvm_arch_vcpu_ioctl_run(struct kvm_vcpu *vcpu)
 {
 	<...
-	kvm_put_guest_fpu(vcpu);
+	if (vcpu->wants_to_run)
+		kvm_put_guest_fpu(vcpu);
 	...>
 }
