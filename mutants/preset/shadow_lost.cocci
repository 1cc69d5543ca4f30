// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit ends the shadow of an STI or of a move to SS.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_x86_ops.set_interrupt_shadow(vcpu, 0);
 	r = -EINTR;
 	goto out;
 }
 r = E;
