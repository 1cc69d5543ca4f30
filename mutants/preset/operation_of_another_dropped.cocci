// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit of a later vCPU drops what the first one has to finish.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->vcpu_idx)
+		kvm_get_vcpu(vcpu->kvm, 0)->arch.complete_userspace_io = NULL;
 	r = -EINTR;
 	goto out;
 }
 r = E;
