// SPDX-License-Identifier: GPL-2.0-only
// EINVAL leaves the thread with the mask of KVM_RUN.

@@
@@
+ if (r != -EINVAL)
  kvm_sigset_deactivate(vcpu);
