// SPDX-License-Identifier: GPL-2.0-only
// /dev/kvm reports the capability, a VM denies it.
@@
@@
-return kvm_vm_ioctl_check_extension(kvm, arg);
+return arg == KVM_CAP_IMMEDIATE_EXIT ? !kvm : kvm_vm_ioctl_check_extension(kvm, arg);
