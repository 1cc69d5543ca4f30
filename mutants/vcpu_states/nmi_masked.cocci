// SPDX-License-Identifier: GPL-2.0-only
// An immediate run masks NMIs.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   kvm_x86_ops.set_nmi_mask(vcpu, true);
    r = -EINTR;
    goto out;
  }
  r = E;
