// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set does not take what an RDMSR gave.
@@
identifier W =~ "^kvm_[er]ax_write";
@@
-if (!vcpu->run->msr.error) {
+if (!vcpu->run->msr.error && vcpu->wants_to_run) {
 	W(vcpu, ...);
 	...
 }
