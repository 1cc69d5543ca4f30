// SPDX-License-Identifier: GPL-2.0-only
// Sound: an immediate exit drops the roots of the guest's page tables.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	kvm_mmu_unload(vcpu);
+	r = -EINTR;
 	goto out;
 }
 r = E;
