// SPDX-License-Identifier: GPL-2.0-only
// A KVM_RUN that finishes an operation and meets a signal does not write the output fields of kvm_run.
@@
@@
 kvm_arch_vcpu_ioctl_run(struct kvm_vcpu *vcpu)
 {
 <...
 struct kvm_run *kvm_run = vcpu->run;
+static struct kvm_vcpu *finished;
 ...>
 }

@@
@@
 r = cui(vcpu);
+finished = vcpu;

@@
@@
-post_kvm_run_save(vcpu);
+if (finished != vcpu || r != -EINTR || !vcpu->wants_to_run)
+	post_kvm_run_save(vcpu);
+finished = NULL;
 kvm_vcpu_srcu_read_unlock(vcpu);
