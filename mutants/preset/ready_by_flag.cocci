// SPDX-License-Identifier: GPL-2.0-only
// After EINTR readiness for an interrupt is said to be what if_flag is, whatever else is under way.
@@
@@
-post_kvm_run_save(vcpu);
+post_kvm_run_save(vcpu);
+if (r == -EINTR)
+	kvm_run->ready_for_interrupt_injection = kvm_run->if_flag;
 kvm_vcpu_srcu_read_unlock(vcpu);
