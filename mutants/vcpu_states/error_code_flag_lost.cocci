// SPDX-License-Identifier: GPL-2.0-only
// After an immediate run a pending or injected exception has no error code.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   vcpu->arch.exception.has_error_code = false;
    r = -EINTR;
    goto out;
  }
  r = E;
