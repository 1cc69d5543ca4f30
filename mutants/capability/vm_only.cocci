// SPDX-License-Identifier: GPL-2.0-only
// A VM reports the capability, /dev/kvm denies it.
@@
@@
-return kvm_vm_ioctl_check_extension(kvm, arg);
+return arg == KVM_CAP_IMMEDIATE_EXIT ? !!kvm : kvm_vm_ioctl_check_extension(kvm, arg);
