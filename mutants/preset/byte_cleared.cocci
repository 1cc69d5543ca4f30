// SPDX-License-Identifier: GPL-2.0-only
// The byte is cleared once it has been obeyed.
@@
expression E;
@@
 vcpu->wants_to_run = !(READ_ONCE(E));
+if (!vcpu->wants_to_run)
+	WRITE_ONCE(E, 0);
 r = kvm_arch_vcpu_ioctl_run(vcpu);
