// SPDX-License-Identifier: GPL-2.0-only
// A run with a signal pending takes the request to write the guest's clock and does not serve it.
@@
@@
-kvm_check_request(KVM_REQ_CLOCK_UPDATE, vcpu)
+(kvm_check_request(KVM_REQ_CLOCK_UPDATE, vcpu) && !signal_pending(current))
