// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a KVM_RUN of a thread that another process traces.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !current->ptrace) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
