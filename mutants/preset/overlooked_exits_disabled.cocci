// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a VM whose guest may halt without an exit.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(kvm_hlt_in_guest(vcpu->kvm))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
