// SPDX-License-Identifier: GPL-2.0-only
// Pending work is looked at where vcpu_enter_guest() begins, and the answer is used with interrupts off.
@early@
@@
-	if (kvm_vcpu_exit_request(vcpu)) {
+	if (work_pending || vcpu->mode == EXITING_GUEST_MODE || kvm_request_pending(vcpu)) {
 		vcpu->mode = OUTSIDE_GUEST_MODE;
 		...
 	}

@depends on early@
@@
 	fastpath_t exit_fastpath;
+	bool work_pending = __xfer_to_guest_mode_work_pending();
