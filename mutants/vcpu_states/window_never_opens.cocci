// SPDX-License-Identifier: GPL-2.0-only
// KVM_RUN does not end when the window opens.

@@
@@
- if (dm_request_for_irq_injection(vcpu) && kvm_vcpu_ready_for_interrupt_injection(vcpu))
+ if (0)
  { ... }
