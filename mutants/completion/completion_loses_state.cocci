// SPDX-License-Identifier: GPL-2.0-only
// A run that finishes an operation under the byte writes over a debug register.
@@
@@
 r = cui(vcpu);
+if (!vcpu->wants_to_run)
+	vcpu->arch.db[2] = 0x1000;
