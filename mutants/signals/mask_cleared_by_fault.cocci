// SPDX-License-Identifier: GPL-2.0-only
// KVM_SET_SIGNAL_MASK that fails with EFAULT clears the mask that was there.
@@
@@
 kvm_vcpu_ioctl(...)
 {
 <...
-if (copy_from_user(&sigset, sigmask_arg->sigset, sizeof(sigset)))
-	goto out;
+if (copy_from_user(&sigset, sigmask_arg->sigset, sizeof(sigset))) {
+	kvm_vcpu_ioctl_set_sigmask(vcpu, NULL);
+	goto out;
+}
 ...>
 }
