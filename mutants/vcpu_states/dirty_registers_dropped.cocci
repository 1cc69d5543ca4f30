// SPDX-License-Identifier: GPL-2.0-only
// An immediate run forgets the registers that kvm_dirty_regs names.

@@
@@
+ if (!vcpu->wants_to_run)
+   kvm_run->kvm_dirty_regs = 0;
  if (kvm_run->kvm_dirty_regs) {
    r = sync_regs(vcpu);
    ...
  }
