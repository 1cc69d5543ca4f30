// SPDX-License-Identifier: GPL-2.0-only
// What L1 injects by its control block is lost where the entry that it came with is taken back.

@in_svm@
expression S;
@@
  S->nested.nested_run_pending

@depends on in_svm@
@@
  svm_cancel_injection(struct kvm_vcpu *vcpu)
  {
  ...
+ if (svm->nested.nested_run_pending)
+   control->event_inj = 0;
  control->exit_int_info = control->event_inj;
  ...
  }

// Later kernels have it beside what VMX has.
@depends on !in_svm@
@@
  svm_cancel_injection(struct kvm_vcpu *vcpu)
  {
  ...
+ if (vcpu->arch.nested_run_pending)
+   control->event_inj = 0;
  control->exit_int_info = control->event_inj;
  ...
  }
