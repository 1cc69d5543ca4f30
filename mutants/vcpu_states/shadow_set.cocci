// SPDX-License-Identifier: GPL-2.0-only
// An immediate run puts the vCPU into the shadow of an STI.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   kvm_x86_ops.set_interrupt_shadow(vcpu, KVM_X86_SHADOW_INT_STI);
    r = -EINTR;
    goto out;
  }
  r = E;
