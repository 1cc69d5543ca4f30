// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit flips a bit of the PIC's interrupt mask.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->kvm->arch.vpic)
+		vcpu->kvm->arch.vpic->pics[0].imr ^= 0x80;
 	r = -EINTR;
 	goto out;
 }
 r = E;
