// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set finishes the load of an instruction, and says EINTR in the place of its store.
@@
@@
 r = cui(vcpu);
+if (!r && !vcpu->wants_to_run && vcpu->mmio_needed && vcpu->mmio_is_write &&
+    vcpu->mmio_cur_fragment == 0)
+	r = -EINTR;
 if (r <= 0)
 	goto out;
