// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit returns 0.
@@
@@
 if (!vcpu->wants_to_run) {
 	kvm_vcpu_srcu_read_unlock(vcpu);
-	return -EINTR;
+	return 0;
 }
