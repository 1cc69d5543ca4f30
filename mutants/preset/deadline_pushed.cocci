// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit pushes the guest's TSC deadline.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->arch.apic && vcpu->arch.apic->lapic_timer.tscdeadline)
+		vcpu->arch.apic->lapic_timer.tscdeadline += 1000;
 	r = -EINTR;
 	goto out;
 }
 r = E;
