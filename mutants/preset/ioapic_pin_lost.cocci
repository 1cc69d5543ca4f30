// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit flips the mask of a pin of the I/O APIC.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->kvm->arch.vioapic)
+		vcpu->kvm->arch.vioapic->redirtbl[5].fields.mask ^= 1;
 	r = -EINTR;
 	goto out;
 }
 r = E;
