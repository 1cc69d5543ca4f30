// SPDX-License-Identifier: GPL-2.0-only
// KVM_RUN's mask replaces the thread's for the sender of a signal too.

@@
@@
  kvm_sigset_activate(...)
  {
+ sigset_t outside;
  ...
- sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
+ sigprocmask(SIG_SETMASK, &vcpu->sigset, &outside);
+ vcpu->sigset = outside;
  }

@@
@@
  kvm_sigset_deactivate(...)
  {
+ sigset_t inside;
  ...
- sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
- sigemptyset(&current->real_blocked);
+ sigprocmask(SIG_SETMASK, &vcpu->sigset, &inside);
+ vcpu->sigset = inside;
  }
