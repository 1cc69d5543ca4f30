// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked with KVM_CAP_EXCEPTION_PAYLOAD enabled.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->kvm->arch.exception_payload_enabled)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
