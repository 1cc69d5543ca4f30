// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit returns 0.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	r = 0;
 	goto out;
 }
 r = E;
