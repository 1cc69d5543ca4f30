// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set does not take what a load from MMIO gave.
@@
@@
-if (!vcpu->mmio_is_write)
+if (!vcpu->mmio_is_write && vcpu->wants_to_run)
 	memcpy(frag->data, run->mmio.data, len);
