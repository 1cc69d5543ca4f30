// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set, after an exit for CR8, raises the guest's CR8 again.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (kvm_run->exit_reason == KVM_EXIT_SET_TPR)
+		kvm_set_cr8(vcpu, 15);
 	r = -EINTR;
 	goto out;
 }
 r = E;
