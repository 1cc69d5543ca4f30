// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends KVM_RUN drops the interrupt that is on its way into the guest.

@@
@@
  r = vcpu_run(vcpu);
+ if (r == -EINTR) {
+   kvm_clear_interrupt_queue(vcpu);
+ }
