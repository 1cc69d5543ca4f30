// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit does not write the output fields of kvm_run.
@@
@@
-post_kvm_run_save(vcpu);
+if (vcpu->wants_to_run)
+	post_kvm_run_save(vcpu);
 kvm_vcpu_srcu_read_unlock(vcpu);
