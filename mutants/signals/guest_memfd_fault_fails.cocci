// SPDX-License-Identifier: GPL-2.0-only
// A signal that comes while a page of guest_memfd is looked up makes KVM_RUN fail with EFAULT.

@@
expression vcpu, fault;
identifier r;
@@
  r = kvm_gmem_get_pfn(...);
  if (r) {
    kvm_mmu_prepare_memory_fault_exit(vcpu, fault);
    return r;
  }
+ if (signal_pending(current)) {
+   kvm_release_page_unused(fault->refcounted_page);
+   return -EFAULT;
+ }
