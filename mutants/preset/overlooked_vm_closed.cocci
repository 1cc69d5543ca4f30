// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked once the VM's descriptor is closed.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(refcount_read(&vcpu->kvm->users_count) < 3)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
