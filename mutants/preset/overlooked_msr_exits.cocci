// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while MSR accesses exit to userspace.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->kvm->arch.user_space_msr_mask)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
