// SPDX-License-Identifier: GPL-2.0-only
// An immediate run makes a processor runnable that waits for its SIPI.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (vcpu->arch.mp_state == KVM_MP_STATE_INIT_RECEIVED)
+     vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
    r = -EINTR;
    goto out;
  }
  r = E;
