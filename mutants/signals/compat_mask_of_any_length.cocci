// SPDX-License-Identifier: GPL-2.0-only
// KVM_SET_SIGNAL_MASK of a 32-bit program does not look at the length.
@@
typedef compat_sigset_t;
@@
 kvm_vcpu_compat_ioctl(...)
 {
 <...
- if (kvm_sigmask.len != sizeof(compat_sigset_t))
-   goto out;
 ...>
 }
