// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit blocks a signal of the thread.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	sigaddset(&current->blocked, SIGVTALRM);
 	r = -EINTR;
 	goto out;
 }
 r = E;
