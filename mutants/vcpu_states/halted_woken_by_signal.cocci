// SPDX-License-Identifier: GPL-2.0-only
// Whatever ends the sleep of a halted vCPU ends the halt.

@@
@@
  vcpu_block(...)
  {
  <...
-   if (!kvm_arch_vcpu_runnable(vcpu))
-     return 1;
  ...>
  }
