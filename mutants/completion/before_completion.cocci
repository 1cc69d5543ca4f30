// SPDX-License-Identifier: GPL-2.0-only
// The byte is looked at before the pending operation is finished.
@@
expression E;
@@
+if (!vcpu->wants_to_run) {
+	r = -EINTR;
+	goto out;
+}
 if (unlikely(vcpu->arch.complete_userspace_io)) { ... } else { ... }
-if (!vcpu->wants_to_run) {
-	r = -EINTR;
-	goto out;
-}
 r = E;
