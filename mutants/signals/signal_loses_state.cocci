// SPDX-License-Identifier: GPL-2.0-only
// A KVM_RUN that a signal ends writes over DR1.
@@
@@
 r = vcpu_run(vcpu);
+if (r == -EINTR)
+	vcpu->arch.db[1] = 0x1000;
