// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit sets the guest's TSC back by a thousand cycles.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	adjust_tsc_offset_guest(vcpu, -1000);
 	r = -EINTR;
 	goto out;
 }
 r = E;
