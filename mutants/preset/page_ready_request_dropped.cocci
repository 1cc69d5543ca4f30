// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the request to tell the guest that a page it waits for is there.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_APF_READY, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
