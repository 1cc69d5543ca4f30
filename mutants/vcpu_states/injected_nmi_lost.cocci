// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops an NMI that is on its way into the guest.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   vcpu->arch.nmi_injected = false;
    r = -EINTR;
    goto out;
  }
  r = E;
