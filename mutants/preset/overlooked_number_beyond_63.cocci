// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked on a vCPU whose number is 64 or more.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && vcpu->vcpu_id < BITS_PER_LONG) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
