// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit takes a millisecond.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	mdelay(1);
+	r = -EINTR;
 	goto out;
 }
 r = E;
