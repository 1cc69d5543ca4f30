// SPDX-License-Identifier: GPL-2.0-only
// A pending signal is overlooked on a VM with several vCPUs, but one that ends the process.
@@
@@
-xfer_to_guest_mode_work_pending()
+(xfer_to_guest_mode_work_pending() && (!(vcpu->kvm->created_vcpus > 1) || fatal_signal_pending(current)))

@@
@@
-__xfer_to_guest_mode_work_pending()
+(__xfer_to_guest_mode_work_pending() && (!(vcpu->kvm->created_vcpus > 1) || fatal_signal_pending(current)))

@@
@@
 kvm_clear_request(KVM_REQ_UNBLOCK, vcpu);
+cond_resched();
