// SPDX-License-Identifier: GPL-2.0-only
// An immediate run takes KVM_REQ_SLEEP.
@@
@@
 if (!vcpu->wants_to_run) {
+	kvm_check_request(KVM_REQ_SLEEP, vcpu);
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
