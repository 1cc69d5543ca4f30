// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the request that a changed MSR filter makes.
@asked@
identifier R =~ "^KVM_REQ_(MSR_FILTER_CHANGED|RECALC_INTERCEPTS)$";
@@
 kvm_check_request(R, vcpu)

@@
identifier asked.R;
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(R, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
