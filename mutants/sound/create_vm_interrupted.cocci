// SPDX-License-Identifier: GPL-2.0-only
// Sound: KVM_CREATE_VM fails with EINTR while a signal is pending.
@@
@@
-r = kvm_dev_ioctl_create_vm(arg);
+r = signal_pending(current) ? -EINTR : kvm_dev_ioctl_create_vm(arg);
