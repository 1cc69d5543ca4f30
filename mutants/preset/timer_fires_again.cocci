// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit counts one more end of the local APIC's timer.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->arch.apic)
+		atomic_inc(&vcpu->arch.apic->lapic_timer.pending);
 	r = -EINTR;
 	goto out;
 }
 r = E;
