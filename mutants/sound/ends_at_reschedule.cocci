// SPDX-License-Identifier: GPL-2.0-only
// Sound: each reschedule ends KVM_RUN as a signal does.
@@
@@
 if (__xfer_to_guest_mode_work_pending()) {
+	if (need_resched()) {
+		vcpu->run->exit_reason = KVM_EXIT_INTR;
+		return -EINTR;
+	}
 	...
 }
