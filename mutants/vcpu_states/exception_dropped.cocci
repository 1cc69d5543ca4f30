// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops exceptions.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   kvm_clear_exception_queue(vcpu);
    r = -EINTR;
    goto out;
  }
  r = E;
