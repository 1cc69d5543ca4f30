// SPDX-License-Identifier: GPL-2.0-only
// The byte is taken for a signed one and has to be positive.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = (signed char)READ_ONCE(E) <= 0;
