// SPDX-License-Identifier: GPL-2.0-only
// Each tenth immediate exit drops every request.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	static atomic_t exits;
+
+	if (atomic_inc_return(&exits) % 10 == 0)
+		vcpu->requests = 0;
 	r = -EINTR;
 	goto out;
 }
 r = E;
