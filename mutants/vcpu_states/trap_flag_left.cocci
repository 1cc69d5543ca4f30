// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends KVM_RUN ends single-stepping, and leaves the trap flag in the guest's flags.

@@
@@
  r = vcpu_run(vcpu);
+ if (r == -EINTR) {
+   vcpu->guest_debug &= ~KVM_GUESTDBG_SINGLESTEP;
+ }
