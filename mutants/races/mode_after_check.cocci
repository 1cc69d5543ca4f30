// SPDX-License-Identifier: GPL-2.0-only
// IN_GUEST_MODE is stored behind the last look, interrupts being off at both.
@@
statement S;
@@
 	local_irq_disable();
-	smp_store_release(&vcpu->mode, IN_GUEST_MODE);
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	smp_mb__after_srcu_read_unlock();
 	if (kvm_lapic_enabled(vcpu)) { ... }
 	if (kvm_vcpu_exit_request(vcpu)) S
+	smp_store_release(&vcpu->mode, IN_GUEST_MODE);
 	run_flags = 0;
