// SPDX-License-Identifier: GPL-2.0-only
// After EINTR flags do not say that the vCPU runs a guest of its guest.
@@
@@
-post_kvm_run_save(vcpu);
+post_kvm_run_save(vcpu);
+if (r == -EINTR)
+	kvm_run->flags &= ~KVM_RUN_X86_GUEST_MODE;
 kvm_vcpu_srcu_read_unlock(vcpu);
