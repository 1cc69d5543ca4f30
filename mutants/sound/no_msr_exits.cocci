// SPDX-License-Identifier: GPL-2.0-only
// Sound: no access to an MSR exits to userspace.
@@
expression A, E;
@@
-kvm_vm_ioctl_check_extension_generic(E, A)
+(A == KVM_CAP_X86_USER_SPACE_MSR ? 0 : kvm_vm_ioctl_check_extension_generic(E, A))


@@
@@
-return kvm_vm_ioctl_enable_cap(kvm, cap);
+return cap->cap == KVM_CAP_X86_USER_SPACE_MSR ? -EINVAL : kvm_vm_ioctl_enable_cap(kvm, cap);
