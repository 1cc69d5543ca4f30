// SPDX-License-Identifier: GPL-2.0-only
// An interrupted KVM_CREATE_VM keeps the number of a descriptor that it set aside.
@@
@@
 kvm_dev_ioctl_create_vm(...)
 {
 <...
 if (IS_ERR(kvm)) {
   r = PTR_ERR(kvm);
+  if (r == -EINTR)
+    return r;
   goto put_fd;
 }
 ...>
 }
