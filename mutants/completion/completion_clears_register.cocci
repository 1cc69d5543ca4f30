// SPDX-License-Identifier: GPL-2.0-only
// A run that finishes an operation and ends by the byte clears R12.
@@
@@
 r = cui(vcpu);
+if (!vcpu->wants_to_run)
+	vcpu->arch.regs[VCPU_REGS_R12] = 0;
