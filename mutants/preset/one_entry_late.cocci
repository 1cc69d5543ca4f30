// SPDX-License-Identifier: GPL-2.0-only
// The guest is entered once before the byte counts.
@ moved @
expression E;
@@
-if (!vcpu->wants_to_run) {
-	r = -EINTR;
-	goto out;
-}
 r = E;

@ depends on moved @
@@
 if (r <= 0)
 	break;
+if (!vcpu->wants_to_run) {
+	r = -EINTR;
+	break;
+}
 kvm_clear_request(KVM_REQ_UNBLOCK, vcpu);
