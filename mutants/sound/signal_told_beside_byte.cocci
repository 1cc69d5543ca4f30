// SPDX-License-Identifier: GPL-2.0-only
// Sound: where the byte is set and a signal is pending, KVM_EXIT_INTR is written.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	if (signal_pending(current))
+		kvm_run->exit_reason = KVM_EXIT_INTR;
+	r = -EINTR;
 	goto out;
 }
 r = E;
