// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set does not take the result of a hypercall.
@@
@@
 complete_hypercall_exit(struct kvm_vcpu *vcpu)
 {
 ...
-kvm_rax_write(vcpu, ret);
+if (vcpu->wants_to_run)
+	kvm_rax_write(vcpu, ret);
 ++vcpu->stat.hypercalls;
 ...
 }
