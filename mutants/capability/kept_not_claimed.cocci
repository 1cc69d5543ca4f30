// SPDX-License-Identifier: GPL-2.0-only
// The capability is denied everywhere; the byte is obeyed.
@@
@@
-return kvm_vm_ioctl_check_extension(kvm, arg);
+return arg == KVM_CAP_IMMEDIATE_EXIT ? 0 : kvm_vm_ioctl_check_extension(kvm, arg);
