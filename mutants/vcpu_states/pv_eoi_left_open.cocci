// SPDX-License-Identifier: GPL-2.0-only
// What was written to the guest's page on the way in stays there where KVM turns back.

@@
@@
- if (unlikely(vcpu->arch.apic_attention))
-   kvm_lapic_sync_from_vapic(vcpu);
  out:
  return r;
