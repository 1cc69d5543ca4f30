// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops NMIs.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   atomic_set(&vcpu->arch.nmi_queued, 0);
+   vcpu->arch.nmi_pending = 0;
    r = -EINTR;
    goto out;
  }
  r = E;
