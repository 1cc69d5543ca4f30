// SPDX-License-Identifier: GPL-2.0-only
// ready_for_interrupt_injection says that the window is open, whatever the guest does.

@@
expression E;
@@
- kvm_run->ready_for_interrupt_injection = E;
+ kvm_run->ready_for_interrupt_injection = 1;
