// SPDX-License-Identifier: GPL-2.0-only
// An immediate run of an uninitialized processor takes INIT and SIPI.

@exists@
@@
  if (unlikely(vcpu->arch.mp_state == KVM_MP_STATE_UNINITIALIZED)) {
    if (!vcpu->wants_to_run) {
+     kvm_apic_accept_events(vcpu);
      r = -EINTR;
      goto out;
    }
    ...
  }
