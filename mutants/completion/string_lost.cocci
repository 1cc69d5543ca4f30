// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set drops a chunk of a string instruction.
@@
@@
 complete_emulated_pio(struct kvm_vcpu *vcpu)
 {
 <...
+if (!vcpu->wants_to_run)
+	memset(vcpu->arch.pio_data, 0, PAGE_SIZE);
 return complete_emulated_io(vcpu);
 ...>
 }
