// SPDX-License-Identifier: GPL-2.0-only
// A run that the byte ends is counted as one that a signal ended.
@@
expression E;
@@
- vcpu->wants_to_run = !(READ_ONCE(E));
+ vcpu->wants_to_run = READ_ONCE(E) == 0;
+ if (!vcpu->wants_to_run)
+	++vcpu->stat.signal_exits;
