// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set that finished the load of an instruction drops the store that follows.
@@
expression E;
@@
 complete_emulated_io(struct kvm_vcpu *vcpu)
 {
 ...
-return E;
+{
+	int r = E;
+
+	if (!r && !vcpu->wants_to_run && vcpu->mmio_needed && vcpu->mmio_is_write) {
+		vcpu->mmio_needed = 0;
+		vcpu->arch.complete_userspace_io = NULL;
+		r = 1;
+	}
+	return r;
+}
 }
