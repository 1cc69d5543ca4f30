// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the MMU's roots are obsolete, as after a region was deleted.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(kvm_test_request(KVM_REQ_MMU_FREE_OBSOLETE_ROOTS, vcpu))) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
