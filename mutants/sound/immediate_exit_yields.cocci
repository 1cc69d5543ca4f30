// SPDX-License-Identifier: GPL-2.0-only
// Sound: an immediate exit lets others run.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	yield();
+	r = -EINTR;
 	goto out;
 }
 r = E;
