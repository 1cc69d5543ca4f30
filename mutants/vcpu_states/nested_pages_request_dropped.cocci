// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the request to read the pages of a nested state that was set.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_GET_NESTED_STATE_PAGES, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
