// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends a page fault drops the NMI or interrupt whose delivery faulted.

@@
@@
  kvm_handle_signal_exit(vcpu);
+ vcpu->arch.nmi_injected = false;
+ vcpu->arch.interrupt.injected = false;
  return -EINTR;
