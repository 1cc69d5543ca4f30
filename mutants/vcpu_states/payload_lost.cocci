// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops the payload of a pending exception.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   vcpu->arch.exception.has_payload = false;
+   vcpu->arch.exception.payload = 0;
    r = -EINTR;
    goto out;
  }
  r = E;
