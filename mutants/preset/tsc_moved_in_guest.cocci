// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit moves the TSC that the guest reads, and not what KVM says of it.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_x86_ops.write_tsc_offset(vcpu, vcpu->arch.tsc_offset - 100000000);
 	r = -EINTR;
 	goto out;
 }
 r = E;
