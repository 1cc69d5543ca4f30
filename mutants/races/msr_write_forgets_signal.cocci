// SPDX-License-Identifier: GPL-2.0-only
// A write of an MSR that KVM answers by itself clears the thread's flag of pending signals.
@@
identifier F =~ "kvm_emulate_wrmsr$";
expression E;
@@
 F(...)
 {
 <...
 trace_kvm_msr_write(E, data);
+clear_thread_flag(TIF_SIGPENDING);
 ...>
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
