// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while KVM_SET_SIGNAL_MASK is set.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->sigset_active)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
