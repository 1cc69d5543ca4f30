// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit moves the VM's clock by a millisecond.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->kvm->arch.kvmclock_offset += NSEC_PER_MSEC;
 	r = -EINTR;
 	goto out;
 }
 r = E;
