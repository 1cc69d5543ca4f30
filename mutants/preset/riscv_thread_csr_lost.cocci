// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit changes stvec.
@@
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.guest_csr.vstvec ^= 0x1000;
 	kvm_vcpu_srcu_read_unlock(vcpu);
 	return -EINTR;
 }
