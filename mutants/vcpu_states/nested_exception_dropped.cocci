// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops an exception that is to end the guest's own guest.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.exception_vmexit.pending = false;
+	vcpu->arch.exception_vmexit.injected = false;
 	r = -EINTR;
 	goto out;
 }
 r = E;
