// SPDX-License-Identifier: GPL-2.0-only
// A run that finds a signal pending takes the first piece of an MMIO access for all of it.
@@
@@
 complete_emulated_mmio(struct kvm_vcpu *vcpu)
 {
 <...
-if (vcpu->mmio_cur_fragment >= vcpu->mmio_nr_fragments) {
+if (vcpu->mmio_cur_fragment >= vcpu->mmio_nr_fragments ||
+    signal_pending(current)) {
 ...
 }
 ...>
 }
