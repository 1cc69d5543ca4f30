// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit of a later vCPU writes KVM_EXIT_INTR into the first vCPU's kvm_run.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->vcpu_idx)
+		kvm_get_vcpu(vcpu->kvm, 0)->run->exit_reason = KVM_EXIT_INTR;
 	r = -EINTR;
 	goto out;
 }
 r = E;
