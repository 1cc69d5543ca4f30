// SPDX-License-Identifier: GPL-2.0-only
// While the vCPU runs its guest's own guest, nobody looks for signals.
@seen@
expression E;
@@
- return E || xfer_to_guest_mode_work_pending();
+ return E || (is_guest_mode(vcpu) && need_resched()) ||
+	(!is_guest_mode(vcpu) && xfer_to_guest_mode_work_pending());

@depends on seen@
identifier vcpu;
@@
 vcpu_run(struct kvm_vcpu *vcpu)
 {
 <+...
-	if (__xfer_to_guest_mode_work_pending()) {
+	if ((is_guest_mode(vcpu) && need_resched()) ||
+	    (!is_guest_mode(vcpu) && __xfer_to_guest_mode_work_pending())) {
 		...
 	}
 ...+>
 }
