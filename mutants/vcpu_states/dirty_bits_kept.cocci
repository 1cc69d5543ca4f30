// SPDX-License-Identifier: GPL-2.0-only
// The bits of kvm_dirty_regs are not cleared when the registers are taken.

@@
@@
- vcpu->run->kvm_dirty_regs &= ~KVM_SYNC_X86_REGS;
