// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set takes 4 bytes of what a load of 8 gave.
@@
@@
 if (!vcpu->mmio_is_write)
-	memcpy(frag->data, run->mmio.data, len);
+	memcpy(frag->data, run->mmio.data, vcpu->wants_to_run ? len : min(4u, len));
