// SPDX-License-Identifier: GPL-2.0-only
// The byte is overlooked when the vCPU comes from another thread.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = oldpid != task_pid(current) || !(READ_ONCE(E));
