// SPDX-License-Identifier: GPL-2.0-only
// A sleeping vCPU looks for the signals of its thread only.
@@
@@
  kvm_vcpu_check_block(...)
  {
  <...
- signal_pending(current)
+ (signal_pending(current) && !sigisemptyset(&current->pending.signal))
  ...>
  }
