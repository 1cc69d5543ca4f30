// SPDX-License-Identifier: GPL-2.0-only
// The byte is read before the wait for the vCPU's mutex.
@read@
expression E;
@@
- vcpu->wants_to_run = !(READ_ONCE(E));
+ vcpu->wants_to_run = byte == 0;

@depends on read@
expression read.E;
@@
 struct kvm_fpu *fpu = NULL;
+u8 byte = READ_ONCE(E);
