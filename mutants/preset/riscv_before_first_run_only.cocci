// SPDX-License-Identifier: GPL-2.0-only
// The byte is looked at until the first entry.
@@
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && vcpu->arch.last_exit_cpu == -1) {
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
