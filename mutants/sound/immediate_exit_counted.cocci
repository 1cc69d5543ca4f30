// SPDX-License-Identifier: GPL-2.0-only
// Sound: an immediate exit flushes the cache of the first level, and says so.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	++vcpu->stat.l1d_flush;
+	r = -EINTR;
 	goto out;
 }
 r = E;
