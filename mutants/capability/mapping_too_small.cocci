// SPDX-License-Identifier: GPL-2.0-only
// KVM_GET_VCPU_MMAP_SIZE is the size of an older, shorter kvm_run.
@@
@@
-r = PAGE_SIZE;
+r = offsetof(struct kvm_run, kvm_valid_regs);
+break;
