// SPDX-License-Identifier: GPL-2.0-only
// Of a thousand runs with the byte set, one is not stopped.
@@
expression E;
@@
 vcpu->wants_to_run = !(READ_ONCE(E));
+{
+	static atomic_t stops;
+
+	if (!vcpu->wants_to_run && atomic_inc_return(&stops) % 1000 == 0)
+		vcpu->wants_to_run = true;
+}
 r = kvm_arch_vcpu_ioctl_run(vcpu);
