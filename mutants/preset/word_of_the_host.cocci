// SPDX-License-Identifier: GPL-2.0-only
// One word of the host holds what vCPUs were asked, each overwrites it, and it is obeyed a run later too.
@@
expression E;
@@
 vcpu->wants_to_run = !(READ_ONCE(E));
+{
+	static bool stop;
+	bool before = stop;
+
+	stop = !vcpu->wants_to_run;
+	if (before)
+		vcpu->wants_to_run = false;
+}
 r = kvm_arch_vcpu_ioctl_run(vcpu);
