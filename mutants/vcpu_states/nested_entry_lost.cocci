// SPDX-License-Identifier: GPL-2.0-only
// A VMRUN that meets a pending signal is skipped.

@@
@@
  nested_svm_vmrun(struct kvm_vcpu *vcpu)
  {
  ...
+ if (signal_pending(current))
+   return kvm_skip_emulated_instruction(vcpu);
  if (is_smm(vcpu)) { ... }
  ...
  }
