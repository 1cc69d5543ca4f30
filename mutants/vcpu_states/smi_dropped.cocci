// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops the SMI.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   kvm_clear_request(KVM_REQ_SMI, vcpu);
    r = -EINTR;
    goto out;
  }
  r = E;
