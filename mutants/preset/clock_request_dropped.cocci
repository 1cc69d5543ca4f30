// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the requests to write the guest's clock.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_CLOCK_UPDATE, vcpu);
+	kvm_clear_request(KVM_REQ_GLOBAL_CLOCK_UPDATE, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
