// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit leaves the lock of the VM held.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	(void)mutex_trylock(&vcpu->kvm->lock);
 	r = -EINTR;
 	goto out;
 }
 r = E;
