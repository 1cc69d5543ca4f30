// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the signals that are pending.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   flush_signals(current);
    r = -EINTR;
    goto out;
  }
  r = E;
