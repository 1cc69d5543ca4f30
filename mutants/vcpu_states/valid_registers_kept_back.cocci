// SPDX-License-Identifier: GPL-2.0-only
// An immediate run does not store the registers that kvm_valid_regs names.

@@
expression E;
@@
  kvm_put_guest_fpu(vcpu);
  if (E)
+ if (vcpu->wants_to_run)
  store_regs(vcpu);
