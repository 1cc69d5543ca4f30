// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set does not take what an IN gave.
@@
identifier W =~ "^kvm_rax_write";
@@
 complete_emulator_pio_in(vcpu, &val);
-W(vcpu, val);
+if (vcpu->wants_to_run)
+	W(vcpu, val);
