// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit writes KVM_EXIT_INTR, as one by a signal does.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	kvm_run->exit_reason = KVM_EXIT_INTR;
+	r = -EINTR;
 	goto out;
 }
 r = E;
