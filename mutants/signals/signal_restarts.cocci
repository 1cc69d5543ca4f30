// SPDX-License-Identifier: GPL-2.0-only
// A signal asks for a restart of KVM_RUN.

@@
@@
  r = vcpu_run(vcpu);
+ if (r == -EINTR)
+   r = -ERESTARTSYS;
