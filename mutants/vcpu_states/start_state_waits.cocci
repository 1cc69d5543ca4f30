// SPDX-License-Identifier: GPL-2.0-only
// A processor that waits for its SIPI waits on although the byte is set.

@@
expression E;
@@
- if (!vcpu->wants_to_run) {
+ if (!vcpu->wants_to_run && vcpu->arch.mp_state != KVM_MP_STATE_INIT_RECEIVED) {
    r = -EINTR;
    goto out;
  }
  r = E;
