// SPDX-License-Identifier: GPL-2.0-only
// ready_for_interrupt_injection says whether IF is set, and overlooks the interrupt injected before.

@@
expression E;
@@
- kvm_run->ready_for_interrupt_injection = E;
+ kvm_run->ready_for_interrupt_injection = kvm_run->if_flag;
