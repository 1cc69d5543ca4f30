// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked on a vCPU whose index is not its number.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->vcpu_idx != vcpu->vcpu_id)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
