// SPDX-License-Identifier: GPL-2.0-only
// Sound: the statistic exits counts nothing.
@@
@@
- ++vcpu->stat.exits;
+ barrier();
