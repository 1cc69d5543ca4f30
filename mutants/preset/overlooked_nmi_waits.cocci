// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while an NMI is pending.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->arch.nmi_pending)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
