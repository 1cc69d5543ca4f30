// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the request to free obsolete roots.
@asked@
identifier R =~ "^KVM_REQ_(MMU_FREE_OBSOLETE_ROOTS|MMU_RELOAD)$";
@@
 kvm_check_request(R, vcpu)

@@
identifier asked.R;
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(R, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
