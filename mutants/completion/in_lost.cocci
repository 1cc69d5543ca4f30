// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set does not take what an IN gave.
@@
@@
 complete_emulator_pio_in(vcpu, &val);
-kvm_rax_write(vcpu, val);
+if (vcpu->wants_to_run)
+	kvm_rax_write(vcpu, val);
