// SPDX-License-Identifier: GPL-2.0-only
// KVM_SET_SIGNAL_MASK without a mask does nothing.

@@
@@
- vcpu->sigset_active = 0;
+ return 0;
