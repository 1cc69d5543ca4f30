// SPDX-License-Identifier: GPL-2.0-only
// A run with a signal pending takes the request that a changed MSR filter makes and does not serve it.
@@
identifier R =~ "^KVM_REQ_(MSR_FILTER_CHANGED|RECALC_INTERCEPTS)$";
@@
-kvm_check_request(R, vcpu)
+(kvm_check_request(R, vcpu) && !signal_pending(current))
