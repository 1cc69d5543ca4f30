// SPDX-License-Identifier: GPL-2.0-only
// An MSR access that a run with the byte set finished is finished again by the next run.
@@
expression E;
@@
 static int complete_fast_msr_access(struct kvm_vcpu *vcpu)
 {
+if (!vcpu->wants_to_run)
+	vcpu->arch.complete_userspace_io = complete_fast_msr_access;
 return E;
 }
