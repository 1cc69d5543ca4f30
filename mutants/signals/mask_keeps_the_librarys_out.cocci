// SPDX-License-Identifier: GPL-2.0-only
// Signals 32 and 33, which C libraries use, are kept out whatever the mask says.
@@
@@
 vcpu->sigset = *sigset;
+vcpu->sigset.sig[0] |= 3UL << 31;
