// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit says that a signal came.
@@
@@
 if (!vcpu->wants_to_run) {
+	run->exit_reason = KVM_EXIT_INTR;
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
