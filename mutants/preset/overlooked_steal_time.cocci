// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest has its stolen time told.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->arch.st.msr_val)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
