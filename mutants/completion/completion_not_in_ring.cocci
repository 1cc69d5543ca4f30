// SPDX-License-Identifier: GPL-2.0-only
// What a run with the byte set stores to the guest's memory is not in the dirty ring.
@@
expression list args;
@@
 mark_page_dirty_in_slot(...)
 {
 <...
-kvm_dirty_ring_push(args);
+if (vcpu->wants_to_run)
+	kvm_dirty_ring_push(args);
 ...>
 }
