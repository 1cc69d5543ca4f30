// SPDX-License-Identifier: GPL-2.0-only
// The check of x86 is lost: KVM_RUN does not act on the byte.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
-	r = -EINTR;
-	goto out;
-}
 r = E;
