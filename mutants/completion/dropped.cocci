// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set forgets the pending operation.
@@
@@
-r = cui(vcpu);
+r = vcpu->wants_to_run ? cui(vcpu) : 1;
