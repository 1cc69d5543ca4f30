// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends the wait for memory makes KVM_RUN fail with EFAULT.

@@
expression pfn;
@@
- if (is_sigpending_pfn(pfn)) {
-   kvm_handle_signal_exit(vcpu);
-   return -EINTR;
- }
