// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set takes the first piece of an access for all of it.
@@
@@
-if (vcpu->mmio_cur_fragment >= vcpu->mmio_nr_fragments)
+if (!vcpu->wants_to_run || vcpu->mmio_cur_fragment >= vcpu->mmio_nr_fragments)
 {
 	vcpu->mmio_needed = 0;
 	...
 	return complete_emulated_io(vcpu);
 }
