// SPDX-License-Identifier: GPL-2.0-only
// With single-stepping on, a pending signal does not keep KVM_RUN from a step.

@@
expression E;
@@
- return E || xfer_to_guest_mode_work_pending();
+ return E || (!(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP) &&
+	       xfer_to_guest_mode_work_pending());
