// SPDX-License-Identifier: GPL-2.0-only
// The byte is loaded as a word of 32 bits, padding1 with it.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = !(*(unsigned int *)&E);
