// SPDX-License-Identifier: GPL-2.0-only
// Each run with the byte set takes what an RDMSR gave, as long as exit_reason says so.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (kvm_run->exit_reason == KVM_EXIT_X86_RDMSR)
+		complete_userspace_rdmsr(vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
