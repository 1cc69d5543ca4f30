// SPDX-License-Identifier: GPL-2.0-only
// An immediate run takes the vCPU out of its guest's own guest.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (is_guest_mode(vcpu))
+     kvm_x86_ops.nested_ops->leave_nested(vcpu);
    r = -EINTR;
    goto out;
  }
  r = E;
