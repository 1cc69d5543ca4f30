// SPDX-License-Identifier: GPL-2.0-only
// No capability, and the byte is obeyed where an operation was pending.
@@
@@
-return kvm_vm_ioctl_check_extension(kvm, arg);
+return arg == KVM_CAP_IMMEDIATE_EXIT ? 0 : kvm_vm_ioctl_check_extension(kvm, arg);

@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = !vcpu->arch.complete_userspace_io || !(READ_ONCE(E));
