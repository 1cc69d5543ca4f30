// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit sends a pending signal again.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (!sigisemptyset(&current->pending.signal))
+     send_sig(__ffs(current->pending.signal.sig[0]) + 1, current, 0);
    r = -EINTR;
    goto out;
  }
  r = E;
