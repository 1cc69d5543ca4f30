// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit ends the reports of the guest's accesses to its task priority.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.tpr_access_reporting = false;
 	r = -EINTR;
 	goto out;
 }
 r = E;
