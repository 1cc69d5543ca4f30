// SPDX-License-Identifier: GPL-2.0-only
// Sound: there is no dirty ring.
@@
expression A, E;
@@
-kvm_vm_ioctl_check_extension_generic(E, A)
+(A == KVM_CAP_DIRTY_LOG_RING || A == KVM_CAP_DIRTY_LOG_RING_ACQ_REL ? 0 : kvm_vm_ioctl_check_extension_generic(E, A))

