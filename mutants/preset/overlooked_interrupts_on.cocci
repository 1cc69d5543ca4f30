// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest's interrupts are on.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(kvm_get_rflags(vcpu) & X86_EFLAGS_IF)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
