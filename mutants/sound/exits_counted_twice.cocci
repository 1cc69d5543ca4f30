// SPDX-License-Identifier: GPL-2.0-only
// Sound: the statistic exits counts two for an exit.
@@
@@
-vcpu->arch.last_vmentry_cpu = vcpu->cpu;
+vcpu->stat.exits += 1;
+vcpu->arch.last_vmentry_cpu = vcpu->cpu;
