// SPDX-License-Identifier: GPL-2.0-only
// A KVM_RUN that a signal ends does not write the output fields of kvm_run.
@@
@@
-post_kvm_run_save(vcpu);
+if (r != -EINTR || !vcpu->wants_to_run)
+	post_kvm_run_save(vcpu);
 kvm_vcpu_srcu_read_unlock(vcpu);
