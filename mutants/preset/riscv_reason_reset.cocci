// SPDX-License-Identifier: GPL-2.0-only
// The reason is reset before the check.
@@
@@
+run->exit_reason = KVM_EXIT_UNKNOWN;
 if (!vcpu->wants_to_run) {
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
