// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while exit_reason holds KVM_EXIT_SYSTEM_EVENT.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->run->exit_reason == KVM_EXIT_SYSTEM_EVENT)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
