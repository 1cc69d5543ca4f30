// SPDX-License-Identifier: GPL-2.0-only
// An immediate run counts as a run, so that CPUID cannot be set any more.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   vcpu->arch.last_vmentry_cpu = vcpu->cpu;
    r = -EINTR;
    goto out;
  }
  r = E;
