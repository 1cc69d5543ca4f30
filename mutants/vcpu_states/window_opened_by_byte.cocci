// SPDX-License-Identifier: GPL-2.0-only
// An immediate run gives the interrupt window where it is open.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
    r = -EINTR;
+   if (dm_request_for_irq_injection(vcpu) && kvm_vcpu_ready_for_interrupt_injection(vcpu)) {
+     vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
+     r = 0;
+   }
    goto out;
  }
  r = E;
