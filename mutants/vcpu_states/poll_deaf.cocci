// SPDX-License-Identifier: GPL-2.0-only
// A halted vCPU that polls looks for signals only when the poll is over.

@@
@@
  kvm_vcpu_halt(...)
  {
  <...
- if (kvm_vcpu_check_block(vcpu) < 0)
+ if (kvm_vcpu_check_block(vcpu) < 0 && !signal_pending(current))
    goto out;
  ...>
  }
