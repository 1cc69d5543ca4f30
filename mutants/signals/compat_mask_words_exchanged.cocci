// SPDX-License-Identifier: GPL-2.0-only
// The two words of a 32-bit program's mask are exchanged.
@@
@@
 kvm_vcpu_compat_ioctl(...)
 {
 <...
+ sigset.sig[0] = sigset.sig[0] << 32 | sigset.sig[0] >> 32;
  r = kvm_vcpu_ioctl_set_sigmask(vcpu, &sigset);
 ...>
 }
