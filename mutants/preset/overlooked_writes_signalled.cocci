// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a VM with an ioeventfd.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(!list_empty(&vcpu->kvm->ioeventfds))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
