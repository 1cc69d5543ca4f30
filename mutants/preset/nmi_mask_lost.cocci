// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit unmasks NMIs.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_x86_ops.set_nmi_mask(vcpu, false);
 	r = -EINTR;
 	goto out;
 }
 r = E;
