// SPDX-License-Identifier: GPL-2.0-only
// An immediate run puts the payload of a pending page fault into CR2.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (vcpu->arch.exception.pending)
+     kvm_deliver_exception_payload(vcpu, &vcpu->arch.exception);
    r = -EINTR;
    goto out;
  }
  r = E;
