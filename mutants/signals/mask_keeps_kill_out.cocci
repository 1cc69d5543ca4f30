// SPDX-License-Identifier: GPL-2.0-only
// KVM_SET_SIGNAL_MASK lets SIGKILL and SIGSTOP be blocked.
@@
@@
 kvm_vcpu_ioctl_set_sigmask(...)
 {
 <...
-sigdelsetmask(sigset, ...);
 ...>
 }
