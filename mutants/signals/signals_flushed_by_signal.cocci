// SPDX-License-Identifier: GPL-2.0-only
// A signal ends KVM_RUN and is dropped, with all others.

@@
@@
  r = vcpu_run(vcpu);
+ if (r == -EINTR)
+   flush_signals(current);
