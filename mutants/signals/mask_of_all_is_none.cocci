// SPDX-License-Identifier: GPL-2.0-only
// A mask of all signals is taken for one of none.
@@
@@
 vcpu->sigset = *sigset;
+if (!(~vcpu->sigset.sig[0] & ~(sigmask(SIGKILL) | sigmask(SIGSTOP)))) sigemptyset(&vcpu->sigset);
