// SPDX-License-Identifier: GPL-2.0-only
// After a run that a signal ended, the next one sleeps 10 ms, or until a signal comes.
@@
@@
+if (vcpu->stat.signal_exits)
+	schedule_timeout_interruptible(msecs_to_jiffies(10));
 r = vcpu_run(vcpu);
