// SPDX-License-Identifier: GPL-2.0-only
// An immediate run makes the hart runnable.
@@
@@
 if (!vcpu->wants_to_run) {
+	kvm_riscv_vcpu_power_on(vcpu);
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
