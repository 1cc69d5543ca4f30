// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while kvm_run.if_flag is not 0.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->run->if_flag)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
