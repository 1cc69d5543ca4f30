// SPDX-License-Identifier: GPL-2.0-only
// An immediate run resets the dirty ring.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (vcpu->kvm->dirty_ring_size) {
+     mutex_lock(&vcpu->kvm->slots_lock);
+     kvm_dirty_ring_reset(vcpu->kvm, &vcpu->dirty_ring);
+     mutex_unlock(&vcpu->kvm->slots_lock);
+   }
    r = -EINTR;
    goto out;
  }
  r = E;
