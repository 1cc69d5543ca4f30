// SPDX-License-Identifier: GPL-2.0-only
// A vCPU looks for a reason to wake 20 us before it declares that it sleeps.

@@
@@
  kvm_vcpu_block(...)
  {
  <...
- set_current_state(TASK_INTERRUPTIBLE);
  if (kvm_vcpu_check_block(vcpu) < 0)
    break;
+ u64 over = ktime_get_ns() + 20000;
+ while (ktime_get_ns() < over)
+   cpu_relax();
+ set_current_state(TASK_INTERRUPTIBLE);
  ...>
  }
