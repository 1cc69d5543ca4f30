// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit changes the guest's IA32_TSC_ADJUST.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.ia32_tsc_adjust_msr += 1000;
 	r = -EINTR;
 	goto out;
 }
 r = E;
