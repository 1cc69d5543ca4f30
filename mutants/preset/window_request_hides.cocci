// SPDX-License-Identifier: GPL-2.0-only
// With request_interrupt_window set, the byte is overlooked.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = vcpu->run->request_interrupt_window || !(READ_ONCE(E));
