// SPDX-License-Identifier: GPL-2.0-only
// KVM_RUN leaves real_blocked set when it takes its mask back.
@@
@@
 kvm_sigset_deactivate(...)
 {
 <...
-sigemptyset(&current->real_blocked);
 ...>
 }
