// SPDX-License-Identifier: GPL-2.0-only
// Sound: an immediate exit takes 50 microseconds.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	u64 over = ktime_get_ns() + 50 * NSEC_PER_USEC;
+
+	while (ktime_get_ns() < over)
+		cpu_relax();
+	r = -EINTR;
 	goto out;
 }
 r = E;
