// SPDX-License-Identifier: GPL-2.0-only
// Sound: the mapping of a vCPU has a page more.
@@
@@
-r = PAGE_SIZE;
+r = 2 * PAGE_SIZE;
