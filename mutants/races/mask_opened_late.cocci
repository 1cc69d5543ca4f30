// SPDX-License-Identifier: GPL-2.0-only
// Pending signals are looked for first and the mask is opened after that, without siglock.
@@
@@
 kvm_sigset_activate(...)
 {
 ...
-	sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
+	{
+		unsigned long pending = READ_ONCE(current->pending.signal.sig[0]) |
+					READ_ONCE(current->signal->shared_pending.signal.sig[0]);
+
+		barrier();
+		current->real_blocked = current->blocked;
+		current->blocked = vcpu->sigset;
+		if (pending & ~vcpu->sigset.sig[0])
+			set_thread_flag(TIF_SIGPENDING);
+	}
 }
