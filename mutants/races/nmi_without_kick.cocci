// SPDX-License-Identifier: GPL-2.0-only
// An NMI that comes by the local APIC kicks nobody.

@@
@@
  kvm_inject_nmi(vcpu);
- kvm_vcpu_kick(vcpu);
+ kvm_vcpu_wake_up(vcpu);
