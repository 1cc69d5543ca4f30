// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked on a descriptor with O_NONBLOCK.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = (filp->f_flags & O_NONBLOCK) || !(READ_ONCE(E));
