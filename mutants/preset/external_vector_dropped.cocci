// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the interrupt that userspace's own PIC holds for the guest.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.pending_external_vector = -1;
 	r = -EINTR;
 	goto out;
 }
 r = E;
