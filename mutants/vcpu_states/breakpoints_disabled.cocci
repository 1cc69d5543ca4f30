// SPDX-License-Identifier: GPL-2.0-only
// An immediate run clears DR7, and so ends the guest's breakpoints.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   vcpu->arch.dr7 = DR7_FIXED_1;
    r = -EINTR;
    goto out;
  }
  r = E;
