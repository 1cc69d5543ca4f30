// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears the APIC's in-service bits.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->arch.apic)
+		memset(vcpu->arch.apic->regs + APIC_ISR, 0, 0x80);
 	r = -EINTR;
 	goto out;
 }
 r = E;
