// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked on a vCPU with a local APIC in the kernel.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(lapic_in_kernel(vcpu))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
