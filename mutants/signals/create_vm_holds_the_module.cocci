// SPDX-License-Identifier: GPL-2.0-only
// An interrupted KVM_CREATE_VM keeps its hold on KVM's module.
@@
@@
 kvm_dev_ioctl_create_vm(...)
 {
 <...
 if (IS_ERR(kvm)) {
   r = PTR_ERR(kvm);
+  if (r == -EINTR)
+    __module_get(kvm_chardev_ops.owner);
   goto put_fd;
 }
 ...>
 }
