// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit keeps a reference to the VM.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_get_kvm(vcpu->kvm);
 	r = -EINTR;
 	goto out;
 }
 r = E;
