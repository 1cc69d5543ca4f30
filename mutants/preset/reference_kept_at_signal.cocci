// SPDX-License-Identifier: GPL-2.0-only
// A KVM_RUN that a signal ends keeps a reference to the VM.
@@
@@
 r = vcpu_run(vcpu);
+if (r == -EINTR)
+	kvm_get_kvm(vcpu->kvm);
