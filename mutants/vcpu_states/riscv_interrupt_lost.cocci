// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops pending interrupts.
@@
@@
 if (!vcpu->wants_to_run) {
+	bitmap_zero(vcpu->arch.irqs_pending, KVM_RISCV_VCPU_NR_IRQS);
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
