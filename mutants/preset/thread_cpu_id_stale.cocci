// SPDX-License-Identifier: GPL-2.0-only
// KVM_RUN drops the note that the thread's restartable sequence is stale.
@@
expression E;
identifier X =~ "xfer_to_guest_mode_handle_work$";
@@
+clear_thread_flag(TIF_NOTIFY_RESUME);
 E = X(vcpu);
