// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked on a vCPU with a dirty ring.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->kvm->dirty_ring_size)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
