// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends KVM_RUN drops a debug exception that is pending.

@@
@@
  r = vcpu_run(vcpu);
+ if (r == -EINTR) {
+   if (vcpu->arch.exception.vector == DB_VECTOR)
+     vcpu->arch.exception.pending = false;
+ }
