// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set, after an exit for CR8, gives that exit again in the place of EINTR.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	r = kvm_run->exit_reason == KVM_EXIT_SET_TPR ? 0 : -EINTR;
 	goto out;
 }
 r = E;
