// SPDX-License-Identifier: GPL-2.0-only
// A wrong argument leaves the thread with the mask of KVM_RUN.

@@
@@
  r = -EINVAL;
- if (arg)
+ if (arg) {
+   kvm_sigset_activate(vcpu);
    goto out;
+ }
