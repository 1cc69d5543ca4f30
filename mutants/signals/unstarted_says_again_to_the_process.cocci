// SPDX-License-Identifier: GPL-2.0-only
// A signal to the process ends the wait for INIT as an INIT does, with EAGAIN.
@exists@
@@
  if (unlikely(vcpu->arch.mp_state == KVM_MP_STATE_UNINITIALIZED)) {
    ...
-   if (signal_pending(current)) {
+   if (signal_pending(current) && !sigisemptyset(&current->pending.signal)) {
    ...
    }
    ...
  }
