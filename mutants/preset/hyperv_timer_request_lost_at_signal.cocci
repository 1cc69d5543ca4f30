// SPDX-License-Identifier: GPL-2.0-only
// A run with a signal pending takes the request to look at Hyper-V's timers and does not serve it.
@@
@@
-kvm_check_request(KVM_REQ_HV_STIMER, vcpu)
+(kvm_check_request(KVM_REQ_HV_STIMER, vcpu) && !signal_pending(current))
