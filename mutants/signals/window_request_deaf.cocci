// SPDX-License-Identifier: GPL-2.0-only
// A vCPU that waits for the interrupt window is left for nothing else.
@@
@@
 vcpu_run(...)
 {
 <...
+if (vcpu->run->request_interrupt_window && !fatal_signal_pending(current))
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
