// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit changes the DR7 that the processor gets, and not the one that KVM tells.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_x86_ops.set_dr7(vcpu, vcpu->arch.dr7 | 0x100);
 	r = -EINTR;
 	goto out;
 }
 r = E;
