// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit takes a millisecond.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	u64 over = ktime_get_ns() + NSEC_PER_MSEC;
+
+	while (ktime_get_ns() < over)
+		cpu_relax();
+	r = -EINTR;
 	goto out;
 }
 r = E;
