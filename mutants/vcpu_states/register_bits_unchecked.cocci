// SPDX-License-Identifier: GPL-2.0-only
// The byte wins over unknown bits in kvm_valid_regs and kvm_dirty_regs.

@@
expression valid, dirty;
@@
- if (valid || dirty) {
+ if (vcpu->wants_to_run && (valid || dirty)) {
    r = -EINVAL;
    goto out;
  }
  if (kvm_run->kvm_dirty_regs) {
    ...
  }
