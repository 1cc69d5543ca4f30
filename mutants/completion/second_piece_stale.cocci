// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set brings the next piece of a store with the data of the last one.
@@
expression F;
@@
 run->mmio.phys_addr = F->gpa;
-if (vcpu->mmio_is_write)
+if (vcpu->mmio_is_write && vcpu->wants_to_run)
 	memcpy(run->mmio.data, F->data, min(8u, F->len));

// Later kernels have a helper that fills in each piece.
@@
identifier F;
@@
 complete_emulated_mmio(...)
 {
 <...
-kvm_prepare_emulated_mmio_exit(vcpu, F);
+{
+	u64 last = *(u64 *)run->mmio.data;
+
+	kvm_prepare_emulated_mmio_exit(vcpu, F);
+	if (!vcpu->wants_to_run)
+		*(u64 *)run->mmio.data = last;
+}
 ...>
 }
