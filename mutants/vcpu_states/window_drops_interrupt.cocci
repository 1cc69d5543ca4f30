// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops the interrupt that was injected into a window, while one is requested.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (kvm_run->request_interrupt_window) {
+     kvm_clear_interrupt_queue(vcpu);
+     vcpu->arch.pending_external_vector = -1;
+   }
    r = -EINTR;
    goto out;
  }
  r = E;
