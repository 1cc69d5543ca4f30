// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops every request.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->requests = 0;
 	r = -EINTR;
 	goto out;
 }
 r = E;
