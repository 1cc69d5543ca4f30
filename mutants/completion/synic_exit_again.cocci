// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set makes the last exit for the guest's SynIC due again.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (kvm_run->exit_reason == KVM_EXIT_HYPERV &&
+	    kvm_run->hyperv.type == KVM_EXIT_HYPERV_SYNIC)
+		kvm_make_request(KVM_REQ_HV_EXIT, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
