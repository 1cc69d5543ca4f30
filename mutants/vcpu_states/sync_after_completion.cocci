// SPDX-License-Identifier: GPL-2.0-only
// Registers that kvm_dirty_regs hands over are taken behind the completion, and undo it.
@@
expression E;
@@
-if (kvm_run->kvm_dirty_regs) {
-	r = sync_regs(vcpu);
-	if (r != 0)
-		goto out;
-}
 ... when any
+if (kvm_run->kvm_dirty_regs) {
+	r = sync_regs(vcpu);
+	if (r != 0)
+		goto out;
+}
 if (!vcpu->wants_to_run) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
