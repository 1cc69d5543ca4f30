// SPDX-License-Identifier: GPL-2.0-only
// Pending work is answered when it is a millisecond old; until then the guest is entered again.
@due@
expression E;
identifier vcpu;
@@
+/* Of each processor: whose work is pending there, and since when. */
+static struct task_struct *work_owner[NR_CPUS];
+static u64 work_since[NR_CPUS];
+
+static int work_is_due(void)
+{
+	int cpu = raw_smp_processor_id();
+
+	if (!__xfer_to_guest_mode_work_pending()) {
+		work_owner[cpu] = NULL;
+		return 0;
+	}
+	if (work_owner[cpu] != current) {
+		work_owner[cpu] = current;
+		work_since[cpu] = ktime_get_ns();
+	}
+	return ktime_get_ns() - work_since[cpu] > NSEC_PER_MSEC;
+}
+
 kvm_vcpu_exit_request(struct kvm_vcpu *vcpu)
 {
 ...
- return E || xfer_to_guest_mode_work_pending();
+ return E || work_is_due();
 }

@depends on due@
identifier vcpu;
@@
 vcpu_run(struct kvm_vcpu *vcpu)
 {
 <+...
-	if (__xfer_to_guest_mode_work_pending()) {
+	if (work_is_due()) {
 		...
 	}
 ...+>
 }
