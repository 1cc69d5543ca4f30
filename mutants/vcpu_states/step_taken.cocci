// SPDX-License-Identifier: GPL-2.0-only
// With single-stepping on, the byte is not looked at.

@@
expression E;
@@
- if (!vcpu->wants_to_run) {
+ if (!vcpu->wants_to_run && !(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)) {
    r = -EINTR;
    goto out;
  }
  r = E;
