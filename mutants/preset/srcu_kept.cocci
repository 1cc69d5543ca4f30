// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit leaves a read-side section of the VM's SRCU open.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	(void)srcu_read_lock(&vcpu->kvm->srcu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
