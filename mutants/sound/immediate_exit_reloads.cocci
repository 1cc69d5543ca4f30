// SPDX-License-Identifier: GPL-2.0-only
// Sound: an immediate exit takes the vCPU from its processor, and puts it back.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	vcpu_put(vcpu);
+	vcpu_load(vcpu);
+	r = -EINTR;
 	goto out;
 }
 r = E;
