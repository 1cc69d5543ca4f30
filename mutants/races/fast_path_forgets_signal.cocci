// SPDX-License-Identifier: GPL-2.0-only
// The fast path of the ICR clears the thread's flag of pending signals.
@@
identifier vcpu, data;
@@
 handle_fastpath_set_x2apic_icr_irqoff(struct kvm_vcpu *vcpu, u64 data)
 {
-	if (!lapic_in_kernel(vcpu) || !apic_x2apic_mode(vcpu->arch.apic))
+	if (!lapic_in_kernel(vcpu))
 		return 1;
+	if (!apic_x2apic_mode(vcpu->arch.apic))
+		return 1;
+	clear_thread_flag(TIF_SIGPENDING);
 ...
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
