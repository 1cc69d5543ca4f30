// SPDX-License-Identifier: GPL-2.0-only
// A guest that runs is left for signals that are queued, and for no stop or freeze.
@@
@@
 vcpu_run(...)
 {
 <...
+if (sigisemptyset(&current->pending.signal) &&
+    sigisemptyset(&current->signal->shared_pending.signal))
+	clear_thread_flag(TIF_SIGPENDING);
 if (__xfer_to_guest_mode_work_pending()) { ... }
 ...>
 }

// Forgotten for this run only: the flag of the thread is right again when KVM_RUN has returned.
@@
@@
 r = kvm_arch_vcpu_ioctl_run(vcpu);
-vcpu->wants_to_run = false;
+vcpu->wants_to_run = 0;
+spin_lock_irq(&current->sighand->siglock);
+recalc_sigpending();
+spin_unlock_irq(&current->sighand->siglock);
