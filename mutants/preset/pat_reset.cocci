// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit resets the guest's PAT.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.pat = 0x0007040600070406ULL;
 	r = -EINTR;
 	goto out;
 }
 r = E;
