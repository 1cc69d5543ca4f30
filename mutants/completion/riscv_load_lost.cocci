// SPDX-License-Identifier: GPL-2.0-only
// A load's value is not taken by an immediate run.
@@
identifier run;
@@
 kvm_riscv_vcpu_mmio_return(..., struct kvm_run *run)
 {
 ...
 vcpu->arch.mmio_decode.return_handled = 1;
-insn = vcpu->arch.mmio_decode.insn;
+insn = vcpu->arch.mmio_decode.insn;
+if (!vcpu->wants_to_run) {
+	vcpu->arch.guest_context.sepc += vcpu->arch.mmio_decode.insn_len;
+	return 0;
+}
 ...
 }
