// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit changes the breakpoints that the processor gets, of a guest without paging.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (!is_paging(vcpu))
+		vcpu->arch.eff_db[1] = 0;
 	r = -EINTR;
 	goto out;
 }
 r = E;
