// SPDX-License-Identifier: GPL-2.0-only
// Each immediate exit flips the lowest bit of CR2.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.cr2 ^= 1;
 	r = -EINTR;
 	goto out;
 }
 r = E;
