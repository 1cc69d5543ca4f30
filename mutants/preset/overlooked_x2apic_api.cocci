// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked with 32-bit APIC ids enabled.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->kvm->arch.x2apic_format)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
