// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set that finished the second piece of an access brings it again, once.
@@
identifier frag;
@@
 complete_emulated_mmio(struct kvm_vcpu *vcpu)
 {
 <...
-frag++;
-vcpu->mmio_cur_fragment++;
+if (!vcpu->wants_to_run && vcpu->mmio_cur_fragment == 1 && vcpu->mmio_fragments[0].len) {
+	vcpu->mmio_fragments[0].len = 0;
+} else {
+	frag++;
+	vcpu->mmio_cur_fragment++;
+}
 ...>
 }
