// SPDX-License-Identifier: GPL-2.0-only
// After an immediate exit if_flag is 0.
@@
@@
-post_kvm_run_save(vcpu);
+post_kvm_run_save(vcpu);
+if (!vcpu->wants_to_run)
+	kvm_run->if_flag = 0;
 kvm_vcpu_srcu_read_unlock(vcpu);
