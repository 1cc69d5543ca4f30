// SPDX-License-Identifier: GPL-2.0-only
// A stopped hart does not look at the byte.
@@
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !kvm_riscv_vcpu_stopped(vcpu)) {
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
