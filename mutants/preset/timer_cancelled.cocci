// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit cancels the timer of the local APIC.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->arch.apic)
+		hrtimer_cancel(&vcpu->arch.apic->lapic_timer.timer);
 	r = -EINTR;
 	goto out;
 }
 r = E;
