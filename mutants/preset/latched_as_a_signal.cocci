// SPDX-License-Identifier: GPL-2.0-only
// The run after an immediate one ends as if by a signal, though the byte is cleared.
@@
expression E;
@@
 vcpu->wants_to_run = !(READ_ONCE(E));
-r = kvm_arch_vcpu_ioctl_run(vcpu);
+{
+	static struct kvm_vcpu *obeyed;
+	bool left = vcpu->wants_to_run && vcpu == obeyed;
+
+	obeyed = vcpu->wants_to_run ? NULL : vcpu;
+	if (left) {
+		vcpu->run->exit_reason = KVM_EXIT_INTR;
+		r = -EINTR;
+	} else {
+		r = kvm_arch_vcpu_ioctl_run(vcpu);
+	}
+}
