// SPDX-License-Identifier: GPL-2.0-only
// KVM_RUN does not put the calling thread's hardware breakpoints back after the guest.
@@
@@
-if (hw_breakpoint_active())
-	hw_breakpoint_restore();
