// SPDX-License-Identifier: GPL-2.0-only
// An exit to userspace leaves the thread with the mask of KVM_RUN.

@@
@@
+ if (r != 0)
  kvm_sigset_deactivate(vcpu);
