// SPDX-License-Identifier: GPL-2.0-only
// The byte is ignored while the vCPU's last exit was that of a signal.
@@
expression E;
@@
- vcpu->wants_to_run = !(READ_ONCE(E));
+ vcpu->wants_to_run = READ_ONCE(E) == 0 || vcpu->run->exit_reason == KVM_EXIT_INTR;
