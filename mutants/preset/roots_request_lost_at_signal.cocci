// SPDX-License-Identifier: GPL-2.0-only
// A run with a signal pending takes the request to free obsolete roots and does not serve it.
@@
identifier R =~ "^KVM_REQ_(MMU_FREE_OBSOLETE_ROOTS|MMU_RELOAD)$";
@@
-kvm_check_request(R, vcpu)
+(kvm_check_request(R, vcpu) && !signal_pending(current))
