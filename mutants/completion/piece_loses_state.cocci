// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set that brings the next piece of an access clears DR3.
@@
@@
 complete_emulated_mmio(struct kvm_vcpu *vcpu)
 {
 <...
 run->exit_reason = KVM_EXIT_MMIO;
+if (!vcpu->wants_to_run)
+	vcpu->arch.db[3] = 0;
 ...>
 }
