// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the kick that another vCPU's hypercall gave a halted one.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.pv.pv_unhalted = false;
 	r = -EINTR;
 	goto out;
 }
 r = E;
