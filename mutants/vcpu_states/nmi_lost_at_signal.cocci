// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends KVM_RUN drops the NMI that is on its way into the guest.

@@
@@
  r = vcpu_run(vcpu);
+ if (r == -EINTR) {
+   vcpu->arch.nmi_injected = false;
+ }
