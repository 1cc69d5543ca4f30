// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set drops an exit for the guest's SynIC that is due.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_HV_EXIT, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
