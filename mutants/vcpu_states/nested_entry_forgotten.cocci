// SPDX-License-Identifier: GPL-2.0-only
// A vCPU that is not to run forgets that an entry of its guest's own guest is pending.

@in_svm@
expression S;
@@
  S->nested.nested_run_pending

@depends on in_svm@
@@
  svm_vcpu_put(struct kvm_vcpu *vcpu)
  {
  ...
+ if (!vcpu->wants_to_run)
+   to_svm(vcpu)->nested.nested_run_pending = 0;
  svm_prepare_host_switch(vcpu);
  ...
  }

// Later kernels have it beside what VMX has.
@depends on !in_svm@
@@
  svm_vcpu_put(struct kvm_vcpu *vcpu)
  {
  ...
+ if (!vcpu->wants_to_run)
+   vcpu->arch.nested_run_pending = 0;
  svm_prepare_host_switch(vcpu);
  ...
  }
