// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a thread behind a seccomp filter.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(current->seccomp.mode)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
