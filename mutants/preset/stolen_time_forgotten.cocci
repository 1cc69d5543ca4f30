// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit forgets where the guest wants the stolen time.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	vcpu->arch.st.msr_val = 0;
 	r = -EINTR;
 	goto out;
 }
 r = E;
