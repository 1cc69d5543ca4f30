// SPDX-License-Identifier: GPL-2.0-only
// Signal 64 is let in, whatever the mask says: it is one bit short.
@@
@@
 vcpu->sigset = *sigset;
+sigdelset(&vcpu->sigset, 64);
