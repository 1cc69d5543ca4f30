// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the local APIC's timer is armed.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(lapic_in_kernel(vcpu) && hrtimer_active(&vcpu->arch.apic->lapic_timer.timer))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
