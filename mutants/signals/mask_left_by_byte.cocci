// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit leaves the thread with the mask of KVM_RUN.

@@
@@
+ if (vcpu->wants_to_run)
  kvm_sigset_deactivate(vcpu);
