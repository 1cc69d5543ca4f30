// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops the request that says that the ring is full.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   kvm_clear_request(KVM_REQ_DIRTY_RING_SOFT_FULL, vcpu);
    r = -EINTR;
    goto out;
  }
  r = E;
