// SPDX-License-Identifier: GPL-2.0-only
// An immediate run of an uninitialized processor takes the INIT for given.

@exists@
@@
  if (unlikely(vcpu->arch.mp_state == KVM_MP_STATE_UNINITIALIZED)) {
    if (!vcpu->wants_to_run) {
+     vcpu->arch.mp_state = KVM_MP_STATE_INIT_RECEIVED;
      r = -EINTR;
      goto out;
    }
    ...
  }
