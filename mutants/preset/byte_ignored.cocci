// SPDX-License-Identifier: GPL-2.0-only
// KVM_RUN never looks at immediate_exit.
@@
expression E;
@@
- vcpu->wants_to_run = !(READ_ONCE(E));
+ vcpu->wants_to_run = true;
