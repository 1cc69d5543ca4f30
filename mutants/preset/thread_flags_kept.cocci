// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit leaves the thread in the scope of memalloc_nofs_save().
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	current->flags |= PF_MEMALLOC_NOFS;
 	r = -EINTR;
 	goto out;
 }
 r = E;
