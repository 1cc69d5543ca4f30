// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked in a VM with a device of KVM_CREATE_DEVICE.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(!list_empty(&vcpu->kvm->devices))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
