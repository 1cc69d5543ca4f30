// SPDX-License-Identifier: GPL-2.0-only
// A signal to an uninitialized processor leaves the exit reason as it was.

@@
@@
  if (signal_pending(current)) {
    r = -EINTR;
-   kvm_run->exit_reason = KVM_EXIT_INTR;
    ++vcpu->stat.signal_exits;
  }
