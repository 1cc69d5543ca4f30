// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears the guest's breakpoint addresses.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	memset(vcpu->arch.db, 0, sizeof(vcpu->arch.db));
 	r = -EINTR;
 	goto out;
 }
 r = E;
