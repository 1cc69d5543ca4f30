// SPDX-License-Identifier: GPL-2.0-only
// One in 1,000 times that pending work is there, the last look before the guest misses it.
@@
expression E;
identifier vcpu;
@@
 kvm_vcpu_exit_request(struct kvm_vcpu *vcpu)
 {
+	static unsigned int found;
+
 	xfer_to_guest_mode_prepare();
-	return E || xfer_to_guest_mode_work_pending();
+	return E || (xfer_to_guest_mode_work_pending() && ++found % 1000);
 }
