// SPDX-License-Identifier: GPL-2.0-only
// A signal takes the vCPU out of its guest's own guest.

@@
@@
  r = vcpu_run(vcpu);
+ if (r == -EINTR) {
+   if (is_guest_mode(vcpu))
+     kvm_x86_ops.nested_ops->leave_nested(vcpu);
+ }
