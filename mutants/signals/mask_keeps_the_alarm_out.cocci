// SPDX-License-Identifier: GPL-2.0-only
// SIGALRM is kept out, whatever the mask says.
@@
@@
 vcpu->sigset = *sigset;
+sigaddset(&vcpu->sigset, SIGALRM);
