// SPDX-License-Identifier: GPL-2.0-only
// One in 300 runs that end with a signal pending under a mask drops that signal.
@@
identifier vcpu;
@@
 kvm_sigset_deactivate(struct kvm_vcpu *vcpu)
 {
+	static unsigned int signals;
+
-	if (!vcpu->sigset_active)
+	if (!READ_ONCE(vcpu->sigset_active))
 		return;
+	if (signal_pending(current) && ++signals % 300 == 0)
+		flush_signals(current);
 	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
 	...
 }
