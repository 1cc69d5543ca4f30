// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked while the guest has a breakpoint armed.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && !(vcpu->arch.dr7 & DR7_BP_EN_MASK)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
