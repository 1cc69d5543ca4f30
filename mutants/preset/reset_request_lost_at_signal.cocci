// SPDX-License-Identifier: GPL-2.0-only
// A run with a signal pending takes the request to reset, of Hyper-V's MSR, and does not serve it.
@@
@@
-kvm_check_request(KVM_REQ_HV_RESET, vcpu)
+(kvm_check_request(KVM_REQ_HV_RESET, vcpu) && !signal_pending(current))
