// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit returns EAGAIN.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	r = -EAGAIN;
 	goto out;
 }
 r = E;
