// SPDX-License-Identifier: GPL-2.0-only
// A signal ends KVM_RUN, and the exit reason does not say so.

@@
identifier X =~ "xfer_to_guest_mode_handle_work$";
@@
  r = X(vcpu);
  kvm_vcpu_srcu_read_lock(vcpu);
- if (r)
+ if (r) {
+   vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
    return r;
+ }
