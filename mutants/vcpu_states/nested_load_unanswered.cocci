// SPDX-License-Identifier: GPL-2.0-only
// An immediate run ends a load of the guest's own guest without userspace's answer.

@@
@@
  complete_emulated_mmio(struct kvm_vcpu *vcpu)
  {
  ...
- if (!vcpu->mmio_is_write)
+ if (!vcpu->mmio_is_write && (vcpu->wants_to_run || !is_guest_mode(vcpu)))
    memcpy(frag->data, run->mmio.data, len);
  ...
  }
