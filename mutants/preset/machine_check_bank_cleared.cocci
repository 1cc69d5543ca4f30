// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears the status of a bank for machine checks.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.mce_banks[1] = 0;
 	r = -EINTR;
 	goto out;
 }
 r = E;
