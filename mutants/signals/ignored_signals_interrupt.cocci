// SPDX-License-Identifier: GPL-2.0-only
// Every signal counts in KVM_RUN, also one that is ignored.

@@
@@
  kvm_sigset_activate(...)
  {
- if (!vcpu->sigset_active)
+ if (!vcpu->sigset_active) {
+   sigfillset(&current->real_blocked);
    return;
+ }
  ...
  }

@@
@@
  kvm_sigset_deactivate(...)
  {
- if (!vcpu->sigset_active)
+ if (!vcpu->sigset_active) {
+   sigemptyset(&current->real_blocked);
    return;
+ }
  ...
  }
