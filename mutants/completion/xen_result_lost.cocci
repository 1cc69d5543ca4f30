// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set does not take the result of a Xen hypercall.
@@
@@
 kvm_xen_hypercall_complete_userspace(struct kvm_vcpu *vcpu)
 {
 ...
+if (!vcpu->wants_to_run)
+	return kvm_skip_emulated_instruction(vcpu);
 return kvm_xen_hypercall_set_result(vcpu, run->xen.u.hcall.result);
 }
