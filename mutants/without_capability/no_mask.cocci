// SPDX-License-Identifier: GPL-2.0-only
// No capability, and KVM_SET_SIGNAL_MASK does nothing.
@@
@@
-return kvm_vm_ioctl_check_extension(kvm, arg);
+return arg == KVM_CAP_IMMEDIATE_EXIT ? 0 : kvm_vm_ioctl_check_extension(kvm, arg);

@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = true;

@@
@@
-vcpu->sigset_active = 1;
