// SPDX-License-Identifier: GPL-2.0-only
// The byte is good once, and has to be seen cleared before it is good again.
@@
expression E;
@@
 vcpu->wants_to_run = !(READ_ONCE(E));
+{
+	static struct kvm_vcpu *obeyed;
+
+	if (vcpu->wants_to_run) {
+		obeyed = NULL;
+	} else {
+		vcpu->wants_to_run = vcpu == obeyed;
+		obeyed = vcpu;
+	}
+}
 r = kvm_arch_vcpu_ioctl_run(vcpu);
