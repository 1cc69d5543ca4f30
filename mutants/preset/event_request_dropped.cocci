// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the request to look for events.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_EVENT, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
