// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops a SIPI that waits.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (lapic_in_kernel(vcpu))
+     clear_bit(KVM_APIC_SIPI, &vcpu->arch.apic->pending_events);
    r = -EINTR;
    goto out;
  }
  r = E;
