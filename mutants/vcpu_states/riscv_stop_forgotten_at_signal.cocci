// SPDX-License-Identifier: GPL-2.0-only
// The request to sleep is not made again.
@@
@@
 if (kvm_riscv_vcpu_stopped(vcpu) || vcpu->arch.pause) {
-	kvm_make_request(KVM_REQ_SLEEP, vcpu);
 }
