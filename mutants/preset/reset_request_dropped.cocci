// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the reset that was asked for by Hyper-V's MSR.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_HV_RESET, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
