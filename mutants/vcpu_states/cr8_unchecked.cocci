// SPDX-License-Identifier: GPL-2.0-only
// The byte wins over an illegal CR8.

@@
@@
- if (kvm_set_cr8(vcpu, kvm_run->cr8) != 0) {
+ if (kvm_set_cr8(vcpu, kvm_run->cr8) != 0 && vcpu->wants_to_run) {
    r = -EINVAL;
    goto out;
  }
