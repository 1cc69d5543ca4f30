// SPDX-License-Identifier: GPL-2.0-only
// A KVM_RUN by another thread than the last keeps a reference to the last one's pid.
@@
@@
 kvm_vcpu_ioctl(...)
 {
 <...
-put_pid(oldpid);
 ...>
 }
