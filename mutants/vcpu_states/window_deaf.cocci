// SPDX-License-Identifier: GPL-2.0-only
// A run that waits for the window does not look at signals.

@@
statement S;
@@
- if (kvm_vcpu_exit_request(vcpu)) S
+ if (kvm_vcpu_exit_request(vcpu) &&
+     !(dm_request_for_irq_injection(vcpu) && signal_pending(current))) S

@@
@@
- if (__xfer_to_guest_mode_work_pending())
+ if (__xfer_to_guest_mode_work_pending() &&
+     !(dm_request_for_irq_injection(vcpu) && signal_pending(current)))
  { ... }
