// SPDX-License-Identifier: GPL-2.0-only
// A vCPU looks for a reason to wake before it declares that it sleeps.

@@
@@
  kvm_vcpu_block(...)
  {
  <...
- set_current_state(TASK_INTERRUPTIBLE);
  if (kvm_vcpu_check_block(vcpu) < 0)
    break;
+ set_current_state(TASK_INTERRUPTIBLE);
  ...>
  }
