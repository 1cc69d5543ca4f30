// SPDX-License-Identifier: GPL-2.0-only
// Byte 0 of kvm_run, request_interrupt_window, is read in place of byte 1.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = !(READ_ONCE(vcpu->run->request_interrupt_window));
