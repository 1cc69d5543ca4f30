// SPDX-License-Identifier: GPL-2.0-only
// The last look comes before local_irq_disable() and IN_GUEST_MODE; a kick between them waits.
@moved@
@@
+	if (kvm_vcpu_exit_request(vcpu)) {
+		preempt_enable();
+		r = 1;
+		goto cancel_injection;
+	}
 	local_irq_disable();
 	smp_store_release(&vcpu->mode, IN_GUEST_MODE);
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	smp_mb__after_srcu_read_unlock();
 	if (kvm_lapic_enabled(vcpu)) { ... }
-	if (kvm_vcpu_exit_request(vcpu)) {
-		vcpu->mode = OUTSIDE_GUEST_MODE;
-		smp_wmb();
-		local_irq_enable();
-		preempt_enable();
-		kvm_vcpu_srcu_read_lock(vcpu);
-		r = 1;
-		goto cancel_injection;
-	}
