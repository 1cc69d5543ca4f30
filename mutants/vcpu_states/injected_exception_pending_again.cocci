// SPDX-License-Identifier: GPL-2.0-only
// An immediate run turns an injected exception into a pending one.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (vcpu->arch.exception.injected) {
+     vcpu->arch.exception.injected = false;
+     vcpu->arch.exception.pending = true;
+   }
    r = -EINTR;
    goto out;
  }
  r = E;
