// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked on a vCPU whose number is not 0.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->vcpu_id != 0)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
