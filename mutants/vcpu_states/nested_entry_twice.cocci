// SPDX-License-Identifier: GPL-2.0-only
// A VMRUN that meets a pending signal is executed again when its guest has left.

@@
identifier ret;
@@
  nested_svm_vmrun(struct kvm_vcpu *vcpu)
  {
  <...
(
- ret = kvm_skip_emulated_instruction(vcpu);
+ ret = signal_pending(current) ? 1 : kvm_skip_emulated_instruction(vcpu);
|
- if (!svm_skip_emulated_instruction(vcpu))
+ if (!signal_pending(current) && !svm_skip_emulated_instruction(vcpu))
    return 0;
)
  ...>
  }
