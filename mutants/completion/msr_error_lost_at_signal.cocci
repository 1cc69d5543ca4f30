// SPDX-License-Identifier: GPL-2.0-only
// A run that finds a signal pending takes a refused MSR access for a good one.
@@
identifier f =~ "^complete_(fast|emulated)_msr_access$";
@@
 f(struct kvm_vcpu *vcpu)
 {
 <...
-vcpu->run->msr.error
+vcpu->run->msr.error && !signal_pending(current)
 ...>
 }
