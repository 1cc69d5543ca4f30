// SPDX-License-Identifier: GPL-2.0-only
// An immediate run does not store the registers that kvm_valid_regs names.

@@
@@
+ if (vcpu->wants_to_run)
  store_regs(vcpu);
