// SPDX-License-Identifier: GPL-2.0-only
// Sound: there are no binary statistics.
@@
expression A, E;
@@
-kvm_vm_ioctl_check_extension_generic(E, A)
+(A == KVM_CAP_BINARY_STATS_FD ? 0 : kvm_vm_ioctl_check_extension_generic(E, A))


@@
@@
-kvm_vcpu_ioctl_get_stats_fd(vcpu)
+kvm_arch_vcpu_ioctl(filp, ioctl, arg)

@@
@@
-kvm_vm_ioctl_get_stats_fd(kvm)
+kvm_arch_vm_ioctl(filp, ioctl, arg)
