// SPDX-License-Identifier: GPL-2.0-only
// After an immediate exit kvm_run says that an interrupt may be injected.
@@
@@
-post_kvm_run_save(vcpu);
+post_kvm_run_save(vcpu);
+if (!vcpu->wants_to_run)
+	kvm_run->ready_for_interrupt_injection = 1;
 kvm_vcpu_srcu_read_unlock(vcpu);
