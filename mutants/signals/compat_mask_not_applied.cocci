// SPDX-License-Identifier: GPL-2.0-only
// KVM_SET_SIGNAL_MASK of a 32-bit program succeeds and does nothing.
@@
@@
 kvm_vcpu_compat_ioctl(...)
 {
 <...
- r = kvm_vcpu_ioctl_set_sigmask(vcpu, &sigset);
+ r = 0;
 ...>
 }
