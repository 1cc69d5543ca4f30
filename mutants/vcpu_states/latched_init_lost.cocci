// SPDX-License-Identifier: GPL-2.0-only
// An immediate run drops an INIT that is latched in system management mode.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (vcpu->arch.apic)
+     clear_bit(KVM_APIC_INIT, &vcpu->arch.apic->pending_events);
    r = -EINTR;
    goto out;
  }
  r = E;
