// SPDX-License-Identifier: GPL-2.0-only
// exit_reason is reset before the byte is looked at.
@@
@@
 kvm_sigset_activate(vcpu);
+kvm_run->exit_reason = KVM_EXIT_UNKNOWN;
 kvm_run->flags = 0;
