// SPDX-License-Identifier: GPL-2.0-only
// What a device gives for the second half of a datum goes where the datum begins.
@@
identifier F =~ "^complete_emulated_mmio$";
@@
 F(...)
 {
 <...
- memcpy(frag->data, run->mmio.data, len);
+ memcpy(vcpu->mmio_nr_fragments == 1 && frag->len <= 8 ?
+		(void *)vcpu->arch.emulate_ctxt->mem_read.data : frag->data, run->mmio.data, len);
 ...>
 }
