// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set does not take the result of a hypercall.
@@
identifier W =~ "^kvm_rax_write";
@@
 complete_hypercall_exit(struct kvm_vcpu *vcpu)
 {
 ...
-W(vcpu, ret);
+if (vcpu->wants_to_run)
+	W(vcpu, ret);
 ...
 }
