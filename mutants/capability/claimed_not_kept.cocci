// SPDX-License-Identifier: GPL-2.0-only
// The capability is reported, the byte is never read.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = true;
