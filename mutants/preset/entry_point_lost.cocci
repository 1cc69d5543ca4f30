// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears IA32_SYSENTER_EIP.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	{
+		struct msr_data msr = {
+			.index = MSR_IA32_SYSENTER_EIP,
+			.host_initiated = true,
+		};
+
+		kvm_x86_ops.set_msr(vcpu, &msr);
+	}
 	r = -EINTR;
 	goto out;
 }
 r = E;
