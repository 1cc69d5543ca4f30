// SPDX-License-Identifier: GPL-2.0-only
// The byte counts once the guest has been entered.
@@
@@
-if (!vcpu->wants_to_run) {
-	kvm_vcpu_srcu_read_unlock(vcpu);
-	return -EINTR;
-}

@@
expression T;
@@
 ret = kvm_riscv_vcpu_exit(vcpu, run, T);
+if (ret > 0 && !vcpu->wants_to_run)
+	ret = -EINTR;
