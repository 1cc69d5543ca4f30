// SPDX-License-Identifier: GPL-2.0-only
// An immediate run ends a halt for which an event waits.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (vcpu->arch.mp_state == KVM_MP_STATE_HALTED && kvm_arch_vcpu_runnable(vcpu))
+     vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
    r = -EINTR;
    goto out;
  }
  r = E;
