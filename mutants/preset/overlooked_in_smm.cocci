// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in system management mode.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(is_smm(vcpu))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
