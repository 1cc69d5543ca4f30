// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest is debugged.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->guest_debug)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
