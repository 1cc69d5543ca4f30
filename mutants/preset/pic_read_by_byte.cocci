// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit asks the PIC for its interrupt, and injects none.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (pic_in_kernel(vcpu->kvm) && vcpu->kvm->arch.vpic->output)
+		kvm_pic_read_irq(vcpu->kvm);
 	r = -EINTR;
 	goto out;
 }
 r = E;
