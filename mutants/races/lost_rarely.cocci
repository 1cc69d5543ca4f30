// SPDX-License-Identifier: GPL-2.0-only
// One in 300 signals that end a run is forgotten: the guest is entered again.
@@
identifier vcpu;
@@
+static int work_is_left(void)
+{
+	static unsigned int signals;
+
+	if (signal_pending(current) && ++signals % 300 == 0)
+		clear_thread_flag(TIF_SIGPENDING);
+	return __xfer_to_guest_mode_work_pending();
+}
+
 vcpu_run(struct kvm_vcpu *vcpu)
 {
 <+...
- __xfer_to_guest_mode_work_pending()
+ work_is_left()
 ...+>
 }

// Forgotten for this run only: the thread's flag is right again when KVM_RUN has returned.
@@
@@
 r = kvm_arch_vcpu_ioctl_run(vcpu);
-vcpu->wants_to_run = false;
+vcpu->wants_to_run = 0;
+spin_lock_irq(&current->sighand->siglock);
+recalc_sigpending();
+spin_unlock_irq(&current->sighand->siglock);
