// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set takes an MSR access that userspace refused for a good one.
@@
expression E;
@@
 static int complete_fast_msr_access(struct kvm_vcpu *vcpu)
 {
-return E;
+if (!vcpu->wants_to_run)
+	return kvm_skip_emulated_instruction(vcpu);
+return E;
 }
