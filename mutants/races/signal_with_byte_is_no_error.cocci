// SPDX-License-Identifier: GPL-2.0-only
// A signal that finds the byte set ends the run with 0, not EINTR.
@@
identifier X =~ "xfer_to_guest_mode_handle_work$";
@@
 	r = X(vcpu);
 	kvm_vcpu_srcu_read_lock(vcpu);
 	if (r)
-		return r;
+		return *((unsigned char *)vcpu->run + 1) ? 0 : r;
