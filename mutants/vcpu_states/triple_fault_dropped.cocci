// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops the triple fault.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   kvm_clear_request(KVM_REQ_TRIPLE_FAULT, vcpu);
    r = -EINTR;
    goto out;
  }
  r = E;
