// SPDX-License-Identifier: GPL-2.0-only
// A pending signal is overlooked while the guest is debugged, but one that ends the process.
@@
@@
-xfer_to_guest_mode_work_pending()
+(xfer_to_guest_mode_work_pending() && (!(vcpu->guest_debug) || fatal_signal_pending(current)))

@@
@@
-__xfer_to_guest_mode_work_pending()
+(__xfer_to_guest_mode_work_pending() && (!(vcpu->guest_debug) || fatal_signal_pending(current)))

@@
@@
 kvm_clear_request(KVM_REQ_UNBLOCK, vcpu);
+cond_resched();
