// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears the GS base of the thread that called KVM_RUN.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	wrmsr(MSR_KERNEL_GS_BASE, 0, 0);
 	r = -EINTR;
 	goto out;
 }
 r = E;
