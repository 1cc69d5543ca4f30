// SPDX-License-Identifier: GPL-2.0-only
// One of a thousand immediate exits keeps a reference to the VM.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	static atomic_t exits;
+
+	if (atomic_inc_return(&exits) % 1000 == 0)
+		kvm_get_kvm(vcpu->kvm);
 	r = -EINTR;
 	goto out;
 }
 r = E;
