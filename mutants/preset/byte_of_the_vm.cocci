// SPDX-License-Identifier: GPL-2.0-only
// A vCPU obeys the byte of each vCPU of its VM.
@@
identifier byte;
iterator name kvm_for_each_vcpu;
@@
 vcpu->wants_to_run = !(READ_ONCE(vcpu->run->byte));
+{
+	struct kvm_vcpu *other;
+	unsigned long i;
+
+	kvm_for_each_vcpu(i, other, vcpu->kvm)
+		if (other->run->byte)
+			vcpu->wants_to_run = false;
+}
 r = kvm_arch_vcpu_ioctl_run(vcpu);
