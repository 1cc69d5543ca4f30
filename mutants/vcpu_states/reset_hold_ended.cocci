// SPDX-License-Identifier: GPL-2.0-only
// An immediate run ends KVM_MP_STATE_AP_RESET_HOLD.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (vcpu->arch.mp_state == KVM_MP_STATE_AP_RESET_HOLD)
+     vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
    r = -EINTR;
    goto out;
  }
  r = E;
