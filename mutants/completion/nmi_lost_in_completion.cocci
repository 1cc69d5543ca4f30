// SPDX-License-Identifier: GPL-2.0-only
// A run that finishes an operation and ends by the byte drops the NMI that waits.
@@
@@
 r = cui(vcpu);
+if (!vcpu->wants_to_run) {
+	vcpu->arch.nmi_pending = 0;
+	atomic_set(&vcpu->arch.nmi_queued, 0);
+}
