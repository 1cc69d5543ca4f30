// SPDX-License-Identifier: GPL-2.0-only
// EAGAIN leaves the thread with the mask of KVM_RUN.

@@
@@
+ if (r != -EAGAIN)
  kvm_sigset_deactivate(vcpu);
