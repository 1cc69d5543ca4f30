// SPDX-License-Identifier: GPL-2.0-only
// Before it interprets an instruction KVM sleeps 200 ms, and begins anew after a signal.
@@
@@
 x86_emulate_instruction(...)
 {
 <...
 vcpu->arch.l1tf_flush_l1d = true;
+if (vcpu->stat.signal_exits && schedule_timeout_interruptible(msecs_to_jiffies(200)))
+	return 1;
 ...>
 }
