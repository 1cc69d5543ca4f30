// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest says that it is one of Hyper-V.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->kvm->arch.hyperv.hv_guest_os_id)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
