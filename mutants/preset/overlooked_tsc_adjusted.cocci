// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest's TSC is adjusted.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->arch.ia32_tsc_adjust_msr)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
