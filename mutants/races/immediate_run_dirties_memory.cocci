// SPDX-License-Identifier: GPL-2.0-only
// A run that the byte ends marks the guest's first page dirty.
@@
@@
-if (!vcpu->wants_to_run) {
+if (unlikely(!vcpu->wants_to_run)) {
+	kvm_vcpu_mark_page_dirty(vcpu, 0);
 	r = -EINTR;
 	goto out;
 }
