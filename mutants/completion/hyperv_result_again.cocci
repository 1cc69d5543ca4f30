// SPDX-License-Identifier: GPL-2.0-only
// The result of a Hyper-V hypercall is taken once more by the run after the one with the byte set.
@takes@
identifier W =~ "^kvm_rax_write";
expression RESULT;
@@
 W(vcpu, RESULT);

@@
identifier takes.W;
@@
 kvm_hv_hypercall_complete_userspace(struct kvm_vcpu *vcpu)
 {
+if (vcpu->run->hyperv.type != KVM_EXIT_HYPERV_HCALL || vcpu->run->hyperv.pad1) {
+	W(vcpu, vcpu->run->hyperv.u.hcall.result);
+	return 1;
+}
+if (!vcpu->wants_to_run) {
+	vcpu->run->hyperv.pad1 = 1;
+	vcpu->arch.complete_userspace_io = kvm_hv_hypercall_complete_userspace;
+}
 ...
 }
