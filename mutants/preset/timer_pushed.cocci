// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit pushes the end of the local APIC's timer by a millisecond.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->arch.apic)
+		vcpu->arch.apic->lapic_timer.target_expiration += NSEC_PER_MSEC;
 	r = -EINTR;
 	goto out;
 }
 r = E;
