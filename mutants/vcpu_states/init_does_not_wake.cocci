// SPDX-License-Identifier: GPL-2.0-only
// An INIT does not wake a processor that sleeps.
@@
@@
 apic->pending_events = (1UL << KVM_APIC_INIT);
 kvm_make_request(KVM_REQ_EVENT, vcpu);
-kvm_vcpu_kick(vcpu);
