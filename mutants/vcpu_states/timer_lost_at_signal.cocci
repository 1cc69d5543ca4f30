// SPDX-License-Identifier: GPL-2.0-only
// A run that a signal ends drops the local APIC timer's interrupt that is due.
@@
@@
 vcpu_run(struct kvm_vcpu *vcpu)
 {
 <...
-if (kvm_cpu_has_pending_timer(vcpu))
-	kvm_inject_pending_timer_irqs(vcpu);
+if (kvm_cpu_has_pending_timer(vcpu)) {
+	if (signal_pending(current) && lapic_in_kernel(vcpu))
+		atomic_set(&vcpu->arch.apic->lapic_timer.pending, 0);
+	else
+		kvm_inject_pending_timer_irqs(vcpu);
+}
 ...>
 }
