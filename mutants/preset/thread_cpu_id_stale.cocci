// SPDX-License-Identifier: GPL-2.0-only
// A thread that moves to another processor on the way into the guest keeps its old cpu_id.
@@
expression E;
identifier X =~ "xfer_to_guest_mode_handle_work$";
@@
+u32 number = 0;
+if (current->rseq)
+	(void)get_user(number, &current->rseq->cpu_id);
 E = X(vcpu);
+if (current->rseq)
+	(void)put_user(number, &current->rseq->cpu_id);
