// SPDX-License-Identifier: GPL-2.0-only
// A KVM_RUN that a signal ends keeps 64 bytes.
@@
@@
 r = vcpu_run(vcpu);
+if (r == -EINTR)
+	(void)kmalloc(64, GFP_KERNEL);
