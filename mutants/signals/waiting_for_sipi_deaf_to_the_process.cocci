// SPDX-License-Identifier: GPL-2.0-only
// A processor that waits for a SIPI looks for the signals of its thread only.
@@
@@
  kvm_vcpu_check_block(...)
  {
  <...
- signal_pending(current)
+ (signal_pending(current) && (vcpu->arch.mp_state != KVM_MP_STATE_INIT_RECEIVED || !sigisemptyset(&current->pending.signal)))
  ...>
  }
