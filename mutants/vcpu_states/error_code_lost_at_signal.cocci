// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends KVM_RUN takes away the error code of the exception that is on its way.

@@
@@
  r = vcpu_run(vcpu);
+ if (r == -EINTR) {
+   vcpu->arch.exception.has_error_code = false;
+   vcpu->arch.exception.error_code = 0;
+ }
