// SPDX-License-Identifier: GPL-2.0-only
// A run that finished an operation enters the guest, whatever the byte says.
@@
@@
 r = cui(vcpu);
+if (r > 0)
+	vcpu->wants_to_run = true;
 if (r <= 0)
 	goto out;
