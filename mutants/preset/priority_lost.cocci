// SPDX-License-Identifier: GPL-2.0-only
// After a signal cr8 is 0.
@@
@@
-post_kvm_run_save(vcpu);
+post_kvm_run_save(vcpu);
+if (r == -EINTR && vcpu->wants_to_run)
+	kvm_run->cr8 = 0;
 kvm_vcpu_srcu_read_unlock(vcpu);
