// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set that finishes an operation writes the guest's stolen time.
@@
@@
 r = cui(vcpu);
+if (!vcpu->wants_to_run)
+	record_steal_time(vcpu);
