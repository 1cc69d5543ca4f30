// SPDX-License-Identifier: GPL-2.0-only
// An uninitialized processor has its register bits checked before the byte.

@exists@
@@
  if (unlikely(vcpu->arch.mp_state == KVM_MP_STATE_UNINITIALIZED)) {
+   if ((kvm_run->kvm_valid_regs | kvm_run->kvm_dirty_regs) & ~KVM_SYNC_X86_VALID_FIELDS) {
+     r = -EINVAL;
+     goto out;
+   }
    if (!vcpu->wants_to_run) {
      r = -EINTR;
      goto out;
    }
    ...
  }
