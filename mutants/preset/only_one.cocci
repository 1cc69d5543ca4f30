// SPDX-License-Identifier: GPL-2.0-only
// The byte is compared with 1.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = READ_ONCE(E) != 1;
