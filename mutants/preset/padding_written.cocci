// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears padding1.
@@
expression E;
@@
 vcpu->wants_to_run = !(READ_ONCE(E));
+if (!vcpu->wants_to_run)
+	memset(vcpu->run->padding1, 0, sizeof(vcpu->run->padding1));
 r = kvm_arch_vcpu_ioctl_run(vcpu);
