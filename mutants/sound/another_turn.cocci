// SPDX-License-Identifier: GPL-2.0-only
// Sound: every second entry is broken off once, as by a kick, and begun anew.
@broken@
@@
-	if (kvm_vcpu_exit_request(vcpu)) {
+	if (kvm_vcpu_exit_request(vcpu) || atomic_inc_return(&entries) % 2 == 0) {
 		vcpu->mode = OUTSIDE_GUEST_MODE;
 		...
 	}

@depends on broken@
@@
 	fastpath_t exit_fastpath;
+	static atomic_t entries;
