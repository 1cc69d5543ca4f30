// SPDX-License-Identifier: GPL-2.0-only
// A Xen hypercall that a run with the byte set finished is made again.
@@
@@
 kvm_xen_hypercall_complete_userspace(struct kvm_vcpu *vcpu)
 {
 ...
+if (!vcpu->wants_to_run)
+	return 1;
 return kvm_xen_hypercall_set_result(vcpu, run->xen.u.hcall.result);
 }
