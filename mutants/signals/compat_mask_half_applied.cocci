// SPDX-License-Identifier: GPL-2.0-only
// Of a 32-bit program's mask, the second word is not taken.
@@
@@
 kvm_vcpu_compat_ioctl(...)
 {
 <...
+ sigset.sig[0] &= 0xffffffffUL;
  r = kvm_vcpu_ioctl_set_sigmask(vcpu, &sigset);
 ...>
 }
