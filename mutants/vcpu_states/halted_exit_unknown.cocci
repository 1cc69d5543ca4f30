// SPDX-License-Identifier: GPL-2.0-only
// An immediate run of a vCPU that waits, and has an event to end that, says KVM_EXIT_UNKNOWN.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
    r = -EINTR;
+   if (vcpu->arch.mp_state != KVM_MP_STATE_RUNNABLE && kvm_arch_vcpu_runnable(vcpu)) {
+     kvm_run->exit_reason = KVM_EXIT_UNKNOWN;
+     r = 0;
+   }
    goto out;
  }
  r = E;
