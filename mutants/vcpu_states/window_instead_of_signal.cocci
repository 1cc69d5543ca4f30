// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends the wait for the window says that it is open.

@@
identifier X =~ "xfer_to_guest_mode_handle_work$";
@@
  r = X(vcpu);
  ...
- if (r)
-   return r;
+ if (r && dm_request_for_irq_injection(vcpu)) {
+   vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
+   return 0;
+ }
+ if (r)
+   return r;
