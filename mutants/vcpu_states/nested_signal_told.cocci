// SPDX-License-Identifier: GPL-2.0-only
// A signal that finds the vCPU in its guest's own guest is an exit for the guest's hypervisor.

@@
@@
  r = vcpu_run(vcpu);
+ if (r == -EINTR) {
+   if (is_guest_mode(vcpu))
+     kvm_x86_ops.nested_ops->triple_fault(vcpu);
+ }
