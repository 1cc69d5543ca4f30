// SPDX-License-Identifier: GPL-2.0-only
// A run that finishes an operation and ends by the byte unmasks NMIs.
@@
@@
 r = cui(vcpu);
+if (!vcpu->wants_to_run)
+	kvm_x86_ops.set_nmi_mask(vcpu, false);
