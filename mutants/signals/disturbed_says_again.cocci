// SPDX-License-Identifier: GPL-2.0-only
// What interrupts a thread and is no signal ends KVM_RUN with EAGAIN.
@@
identifier X =~ "xfer_to_guest_mode_handle_work$";
@@
 vcpu_run(...)
 {
 <...
 r = X(vcpu);
+if (r == -EINTR && sigisemptyset(&current->pending.signal) &&
+    sigisemptyset(&current->signal->shared_pending.signal))
+	r = -EAGAIN;
 ...>
 }
