// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops an interrupt on its way into the guest.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   kvm_clear_interrupt_queue(vcpu);
    r = -EINTR;
    goto out;
  }
  r = E;
