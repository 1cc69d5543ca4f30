// SPDX-License-Identifier: GPL-2.0-only
// Signals are looked for before a pending operation is completed.

@@
@@
  kvm_arch_vcpu_ioctl_run(...)
  {
  <...
  vcpu->arch.exception_from_userspace = false;
+ if (signal_pending(current)) {
+   r = -EINTR;
+   kvm_run->exit_reason = KVM_EXIT_INTR;
+   ++vcpu->stat.signal_exits;
+   goto out;
+ }
  ...>
  }
