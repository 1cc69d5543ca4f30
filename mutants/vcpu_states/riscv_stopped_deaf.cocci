// SPDX-License-Identifier: GPL-2.0-only
// A stopped hart waits for fatal signals only.
@@
@@
-TASK_INTERRUPTIBLE
+TASK_KILLABLE
