// SPDX-License-Identifier: GPL-2.0-only
// An uninitialized processor waits with the thread's own mask.

@@
@@
+ kvm_sigset_deactivate(vcpu);
  kvm_vcpu_block(vcpu);
+ kvm_sigset_activate(vcpu);
  kvm_vcpu_srcu_read_lock(vcpu);
  if (kvm_apic_accept_events(vcpu) < 0) {
    r = 0;
    goto out;
  }
