// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set does not take what an RDMSR gave.
@@
@@
-if (!vcpu->run->msr.error) {
+if (!vcpu->run->msr.error && vcpu->wants_to_run) {
 	kvm_rax_write(vcpu, ...);
 	...
 }
