// SPDX-License-Identifier: GPL-2.0-only
// Of the answers to an MSR access only 1 is an error.
@@
expression E;
@@
 static int complete_fast_msr_access(struct kvm_vcpu *vcpu)
 {
+if (vcpu->run->msr.error != 1)
+	vcpu->run->msr.error = 0;
 return E;
 }
