// SPDX-License-Identifier: GPL-2.0-only
// A sleeping vCPU looks for fatal signals only.

@@
@@
  kvm_vcpu_check_block(...)
  {
  <...
- signal_pending(current)
+ fatal_signal_pending(current)
  ...>
  }
