// SPDX-License-Identifier: GPL-2.0-only
// The byte is looked at only until the guest has run.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && vcpu->arch.last_vmentry_cpu == -1) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
