// SPDX-License-Identifier: GPL-2.0-only
// An immediate run takes the interrupt from its controller.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   if (kvm_cpu_has_injectable_intr(vcpu))
+     kvm_cpu_get_interrupt(vcpu);
    r = -EINTR;
    goto out;
  }
  r = E;
