// SPDX-License-Identifier: GPL-2.0-only
// For a halted vCPU that leaves with EINTR the output fields are not written.
@@
@@
-post_kvm_run_save(vcpu);
+if (r != -EINTR || vcpu->arch.mp_state != KVM_MP_STATE_HALTED)
+	post_kvm_run_save(vcpu);
 kvm_vcpu_srcu_read_unlock(vcpu);
