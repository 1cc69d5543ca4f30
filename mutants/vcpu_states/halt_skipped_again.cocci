// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set, after an exit for a HLT, moves the program counter behind it once more.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->run->exit_reason == KVM_EXIT_HLT)
+		kvm_rip_write(vcpu, kvm_rip_read(vcpu) + 1);
 	r = -EINTR;
 	goto out;
 }
 r = E;
