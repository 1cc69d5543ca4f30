// SPDX-License-Identifier: GPL-2.0-only
// The program counter stays on the access.
@@
@@
-vcpu->arch.guest_context.sepc += vcpu->arch.mmio_decode.insn_len;
+if (vcpu->wants_to_run)
+	vcpu->arch.guest_context.sepc += vcpu->arch.mmio_decode.insn_len;
