// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit forgets to tell the guest that it was stopped.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.pvclock_set_guest_stopped_request = false;
 	r = -EINTR;
 	goto out;
 }
 r = E;
