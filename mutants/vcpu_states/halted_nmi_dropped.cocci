// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops the NMI that is to end a halt.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (vcpu->arch.mp_state == KVM_MP_STATE_HALTED) {
+     atomic_set(&vcpu->arch.nmi_queued, 0);
+     vcpu->arch.nmi_pending = 0;
+   }
    r = -EINTR;
    goto out;
  }
  r = E;
