// SPDX-License-Identifier: GPL-2.0-only
// An interrupt that KVM has to inject by itself only wakes the vCPU, and does not kick it.

@@
@@
  svm_complete_interrupt_delivery(...)
  {
  <...
- kvm_vcpu_kick(vcpu);
+ kvm_vcpu_wake_up(vcpu);
  ...>
  }
