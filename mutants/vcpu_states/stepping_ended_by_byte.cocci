// SPDX-License-Identifier: GPL-2.0-only
// An immediate run ends single-stepping, and leaves the trap flag in the guest's flags.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   vcpu->guest_debug &= ~KVM_GUESTDBG_SINGLESTEP;
    r = -EINTR;
    goto out;
  }
  r = E;
