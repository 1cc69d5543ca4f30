// SPDX-License-Identifier: GPL-2.0-only
// The check comes before what is pending is finished.
@@
@@
 vcpu->arch.ran_atleast_once = true;
 kvm_vcpu_srcu_read_lock(vcpu);
+if (!vcpu->wants_to_run) {
+	kvm_vcpu_srcu_read_unlock(vcpu);
+	return -EINTR;
+}
