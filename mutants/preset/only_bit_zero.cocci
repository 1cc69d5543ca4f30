// SPDX-License-Identifier: GPL-2.0-only
// Of the byte only bit 0 is tested.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = !(READ_ONCE(E) & 1);
