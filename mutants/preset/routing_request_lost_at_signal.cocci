// SPDX-License-Identifier: GPL-2.0-only
// A run with a signal pending takes the request to look at the interrupt routing anew and does not serve it.
@@
@@
-kvm_check_request(KVM_REQ_SCAN_IOAPIC, vcpu)
+(kvm_check_request(KVM_REQ_SCAN_IOAPIC, vcpu) && !signal_pending(current))
