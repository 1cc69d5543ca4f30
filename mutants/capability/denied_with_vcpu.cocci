// SPDX-License-Identifier: GPL-2.0-only
// A VM denies the capability once it has a vCPU.
@@
@@
-return kvm_vm_ioctl_check_extension(kvm, arg);
+return arg == KVM_CAP_IMMEDIATE_EXIT ? !kvm || !atomic_read(&kvm->online_vcpus) : kvm_vm_ioctl_check_extension(kvm, arg);
