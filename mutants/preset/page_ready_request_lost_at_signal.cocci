// SPDX-License-Identifier: GPL-2.0-only
// A run with a signal pending takes the request that tells the guest that a page it waits for is there and does not serve it.
@@
@@
-kvm_check_request(KVM_REQ_APF_READY, vcpu)
+(kvm_check_request(KVM_REQ_APF_READY, vcpu) && !signal_pending(current))
