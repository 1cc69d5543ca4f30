// SPDX-License-Identifier: GPL-2.0-only
// A vCPU that the byte stopped once stays stopped.
@@
expression E;
@@
 vcpu->wants_to_run = !(READ_ONCE(E));
+{
+	static struct kvm_vcpu *stopped;
+
+	if (!vcpu->wants_to_run)
+		stopped = vcpu;
+	else if (!oldpid && stopped == vcpu)
+		stopped = NULL;
+	if (vcpu == stopped)
+		vcpu->wants_to_run = false;
+}
 r = kvm_arch_vcpu_ioctl_run(vcpu);
