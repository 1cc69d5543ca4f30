// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a guest of the guest.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(is_guest_mode(vcpu))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
