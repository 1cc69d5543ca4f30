// SPDX-License-Identifier: GPL-2.0-only
// The byte is read again for the answer: cleared meanwhile, the run ends with 0 and an old exit.
@@
identifier kvm_run;
@@
 kvm_arch_vcpu_ioctl_run(...)
 {
 ...
 struct kvm_run *kvm_run = ...;
 <+...
 if (!vcpu->wants_to_run) {
-	r = -EINTR;
+	r = *((unsigned char *)kvm_run + 1) ? -EINTR : 0;
 	goto out;
 }
 ...+>
 }
