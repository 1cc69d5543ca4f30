// SPDX-License-Identifier: GPL-2.0-only
// KVM_SET_SIGNAL_MASK keeps the lower half of its mask.
@@
@@
 vcpu->sigset = *sigset;
+vcpu->sigset.sig[0] &= 0xffffffffUL;
