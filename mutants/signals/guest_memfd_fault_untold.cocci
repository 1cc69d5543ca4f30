// SPDX-License-Identifier: GPL-2.0-only
// A page of guest_memfd that cannot be had ends KVM_RUN with EFAULT, and kvm_run does not say why.

@@
expression vcpu, fault;
identifier r;
@@
  r = kvm_gmem_get_pfn(...);
  if (r) {
-   kvm_mmu_prepare_memory_fault_exit(vcpu, fault);
    return r;
  }
