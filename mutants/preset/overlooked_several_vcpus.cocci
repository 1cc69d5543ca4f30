// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a VM with more than one vCPU.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->kvm->created_vcpus > 1)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
