// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a thread that did not make the VM.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->kvm->userspace_pid != current->pid)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
