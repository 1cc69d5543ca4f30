// SPDX-License-Identifier: GPL-2.0-only
// The window is looked for before the entry too, where an injected interrupt still waits.

@@
@@
  vcpu->arch.at_instruction_boundary = false;
+ if (dm_request_for_irq_injection(vcpu) && kvm_arch_interrupt_allowed(vcpu)) {
+   vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
+   r = 0;
+   break;
+ }
