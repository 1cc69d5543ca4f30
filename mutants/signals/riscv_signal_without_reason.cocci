// SPDX-License-Identifier: GPL-2.0-only
// A signal's exit has no reason.
@@
@@
+if (ret == -EINTR)
+	run->exit_reason = KVM_EXIT_UNKNOWN;
 kvm_sigset_deactivate(vcpu);
