// SPDX-License-Identifier: GPL-2.0-only
// A signal's exit leaves the thread with the mask of KVM_RUN.

@@
@@
+ if (r != -EINTR || !vcpu->wants_to_run)
  kvm_sigset_deactivate(vcpu);
