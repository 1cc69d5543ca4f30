// SPDX-License-Identifier: GPL-2.0-only
// One in 300 signals is forgotten, for that run only.
@@
@@
 struct kvm_run *run = vcpu->run;
+static unsigned int signals;

@@
@@
+if (signal_pending(current) && ++signals % 300 == 0)
+	clear_thread_flag(TIF_SIGPENDING);
 ret = xfer_to_guest_mode_handle_work(vcpu);

@@
@@
 kvm_sigset_deactivate(vcpu);
 vcpu_put(vcpu);
+spin_lock_irq(&current->sighand->siglock);
+recalc_sigpending();
+spin_unlock_irq(&current->sighand->siglock);
