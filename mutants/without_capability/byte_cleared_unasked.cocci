// SPDX-License-Identifier: GPL-2.0-only
// No capability, and each KVM_RUN clears the byte.
@@
@@
-return kvm_vm_ioctl_check_extension(kvm, arg);
+return arg == KVM_CAP_IMMEDIATE_EXIT ? 0 : kvm_vm_ioctl_check_extension(kvm, arg);

@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+vcpu->wants_to_run = true;
 r = kvm_arch_vcpu_ioctl_run(vcpu);
+WRITE_ONCE(E, 0);
