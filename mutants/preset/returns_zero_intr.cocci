// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit returns 0 with KVM_EXIT_INTR.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	r = 0;
+	kvm_run->exit_reason = KVM_EXIT_INTR;
 	goto out;
 }
 r = E;
