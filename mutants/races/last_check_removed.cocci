// SPDX-License-Identifier: GPL-2.0-only
// The last look before the guest is entered, with interrupts off, does not see pending work.
@@
expression E;
@@
- return E || xfer_to_guest_mode_work_pending();
+ return E;
