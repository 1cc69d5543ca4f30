// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while kvm_valid_regs asks for registers.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->run->kvm_valid_regs)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
