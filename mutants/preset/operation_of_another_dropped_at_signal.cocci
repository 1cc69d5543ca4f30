// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends a KVM_RUN of a later vCPU drops what the first one has to finish.
@@
@@
 r = vcpu_run(vcpu);
+if (r == -EINTR && vcpu->vcpu_idx)
+	kvm_get_vcpu(vcpu->kvm, 0)->arch.complete_userspace_io = NULL;
