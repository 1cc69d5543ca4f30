// SPDX-License-Identifier: GPL-2.0-only
// A signal makes KVM_CREATE_VM fail with EFAULT.
@@
@@
 r = kvm_init_mmu_notifier(kvm);
+if (r == -EINTR)
+	r = -EFAULT;
