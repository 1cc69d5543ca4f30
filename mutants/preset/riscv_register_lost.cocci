// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears f7.
@@
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.guest_context.fp.d.f[7] = 0;
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
