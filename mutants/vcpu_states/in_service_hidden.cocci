// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit makes the local APIC forget, behind its registers, that a vector is in service.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (lapic_in_kernel(vcpu)) {
+		vcpu->arch.apic->isr_count = 0;
+		vcpu->arch.apic->highest_isr_cache = -1;
+	}
 	r = -EINTR;
 	goto out;
 }
 r = E;
