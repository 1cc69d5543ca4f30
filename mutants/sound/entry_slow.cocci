// SPDX-License-Identifier: GPL-2.0-only
// Sound: an entry takes 50 microseconds more, behind the last check for pending work.
@late@
@@
-guest_timing_enter_irqoff();
+over = ktime_get_ns() + 50 * NSEC_PER_USEC;
+while (ktime_get_ns() < over)
+	cpu_relax();
+guest_timing_enter_irqoff();

@depends on late@
@@
 	fastpath_t exit_fastpath;
+	u64 over;
