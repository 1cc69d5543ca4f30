// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the exit that reports the guest's access to its task priority.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_REPORT_TPR_ACCESS, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
