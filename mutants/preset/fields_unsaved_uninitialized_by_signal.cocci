// SPDX-License-Identifier: GPL-2.0-only
// For an uninitialized processor that meets a signal the output fields are not written.
@@
@@
-post_kvm_run_save(vcpu);
+if (r != -EINTR || !vcpu->wants_to_run || vcpu->arch.mp_state != KVM_MP_STATE_UNINITIALIZED)
+	post_kvm_run_save(vcpu);
 kvm_vcpu_srcu_read_unlock(vcpu);
