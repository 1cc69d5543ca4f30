// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a VM for Xen's guests.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->kvm->arch.xen_hvm_config.msr)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
