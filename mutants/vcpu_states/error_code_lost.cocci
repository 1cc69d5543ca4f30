// SPDX-License-Identifier: GPL-2.0-only
// An immediate run sets the error code of a pending or injected exception to 0.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   vcpu->arch.exception.error_code = 0;
    r = -EINTR;
    goto out;
  }
  r = E;
