// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends the wait for the window takes the request back.

@@
identifier X =~ "xfer_to_guest_mode_handle_work$";
@@
  r = X(vcpu);
  ...
- if (r)
-   return r;
+ if (r) {
+   vcpu->run->request_interrupt_window = 0;
+   return r;
+ }
