// SPDX-License-Identifier: GPL-2.0-only
// The check is not there.
@@
@@
-if (!vcpu->wants_to_run) {
-	kvm_vcpu_srcu_read_unlock(vcpu);
-	return -EINTR;
-}
