// SPDX-License-Identifier: GPL-2.0-only
// A call's result is not taken by an immediate run.
@@
expression A, B;
@@
 kvm_riscv_vcpu_sbi_return(...)
 {
 ...
-cp->a0 = A;
-cp->a1 = B;
+if (vcpu->wants_to_run) {
+	cp->a0 = A;
+	cp->a1 = B;
+}
 ...
 }
