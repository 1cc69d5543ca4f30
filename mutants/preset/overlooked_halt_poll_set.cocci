// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a VM with its own halt polling time.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->kvm->override_halt_poll_ns)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
