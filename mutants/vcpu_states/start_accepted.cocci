// SPDX-License-Identifier: GPL-2.0-only
// An immediate run accepts INIT and SIPI.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (lapic_in_kernel(vcpu))
+     kvm_apic_accept_events(vcpu);
    r = -EINTR;
    goto out;
  }
  r = E;
