// SPDX-License-Identifier: GPL-2.0-only
// An immediate run in system management mode drops the SMI that waits for its end.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (is_smm(vcpu))
+     vcpu->arch.smi_pending = false;
    r = -EINTR;
    goto out;
  }
  r = E;
