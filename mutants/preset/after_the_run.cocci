// SPDX-License-Identifier: GPL-2.0-only
// The byte is looked at when the guest has left by itself.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
-	r = -EINTR;
-	goto out;
-}
 r = E;
 if (r <= 0)
 	goto out;
 r = vcpu_run(vcpu);
+if (!vcpu->wants_to_run)
+	r = -EINTR;
