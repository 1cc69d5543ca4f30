// SPDX-License-Identifier: GPL-2.0-only
// A signal that meets what a VM's first run sets up spoils the VM.

@@
@@
  kvm_arch_vcpu_ioctl_run(...)
  {
  ...
  int r;
+ if (vcpu->wants_to_run && vcpu->arch.last_vmentry_cpu == -1) {
+   schedule_timeout_interruptible(1);
+   if (signal_pending(current)) {
+     kvm_vm_dead(vcpu->kvm);
+     return -ENOMEM;
+   }
+ }
  ...
  }
