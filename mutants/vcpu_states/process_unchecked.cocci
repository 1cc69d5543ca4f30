// SPDX-License-Identifier: GPL-2.0-only
// The byte wins over a call from another process.

@byte@
identifier member;
@@
  READ_ONCE(vcpu->run->member)

@@
identifier byte.member;
@@
  kvm_vcpu_ioctl(...)
  {
  <...
  if (vcpu->kvm->mm != current->mm || vcpu->kvm->vm_dead)
-   return -EIO;
+   return ioctl == KVM_RUN && READ_ONCE(vcpu->run->member) ? -EINTR : -EIO;
  ...>
  }
