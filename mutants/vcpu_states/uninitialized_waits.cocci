// SPDX-License-Identifier: GPL-2.0-only
// An uninitialized processor waits for INIT without a look at the byte.

@exists@
@@
  if (unlikely(vcpu->arch.mp_state == KVM_MP_STATE_UNINITIALIZED)) {
-   if (!vcpu->wants_to_run) {
-     r = -EINTR;
-     goto out;
-   }
    ...
  }
