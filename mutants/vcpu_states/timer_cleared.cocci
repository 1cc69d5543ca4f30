// SPDX-License-Identifier: GPL-2.0-only
// An immediate run disarms the TSC-deadline timer.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (lapic_in_kernel(vcpu))
+     kvm_set_lapic_tscdeadline_msr(vcpu, 0);
    r = -EINTR;
    goto out;
  }
  r = E;
