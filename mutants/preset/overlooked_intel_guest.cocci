// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked on a vCPU whose CPUID names Intel as the processor's maker.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+struct kvm_cpuid_entry2 *maker = kvm_find_cpuid_entry(vcpu, 0);
+
+if (!vcpu->wants_to_run &&
+    !(maker && is_guest_vendor_intel(maker->ebx, maker->ecx, maker->edx))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
