// SPDX-License-Identifier: GPL-2.0-only
// Only the VM's first vCPU looks at the byte.
@@
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && vcpu->vcpu_idx == 0) {
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
