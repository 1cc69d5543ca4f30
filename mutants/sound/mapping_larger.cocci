// SPDX-License-Identifier: GPL-2.0-only
// Sound: the mapping of a vCPU has a page more, which is there: kvm_run once again.
@@
identifier vmf;
@@
kvm_vcpu_fault(struct vm_fault *vmf) {
<...
- vmf->pgoff == 0
+ (vmf->pgoff == 0 || vmf->pgoff == 3)
...>
}
@@
@@
-r = PAGE_SIZE;
+r = 2 * PAGE_SIZE;
