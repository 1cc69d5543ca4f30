// SPDX-License-Identifier: GPL-2.0-only
// An immediate run turns an expired timer into an interrupt.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (kvm_cpu_has_pending_timer(vcpu))
+     kvm_inject_pending_timer_irqs(vcpu);
    r = -EINTR;
    goto out;
  }
  r = E;
