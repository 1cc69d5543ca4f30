// SPDX-License-Identifier: GPL-2.0-only
// KVM_SET_SIGNAL_MASK succeeds and does nothing.

@@
@@
- vcpu->sigset_active = 1;
