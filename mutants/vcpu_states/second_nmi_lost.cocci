// SPDX-License-Identifier: GPL-2.0-only
// An immediate run leaves one NMI of two.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (vcpu->arch.nmi_pending > 1)
+     vcpu->arch.nmi_pending = 1;
    r = -EINTR;
    goto out;
  }
  r = E;
