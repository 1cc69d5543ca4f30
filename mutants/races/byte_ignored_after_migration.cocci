// SPDX-License-Identifier: GPL-2.0-only
// The first run on another processor does not look at the byte.
@@
expression E;
@@
- vcpu->wants_to_run = !(READ_ONCE(E));
+ vcpu->wants_to_run = READ_ONCE(E) == 0 ||
+			     (vcpu->cpu != -1 && vcpu->cpu != raw_smp_processor_id());
