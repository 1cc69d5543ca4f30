// SPDX-License-Identifier: GPL-2.0-only
// The byte is looked at in VS mode only.
@@
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && (vcpu->arch.guest_context.sstatus & SR_SPP)) {
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
