// SPDX-License-Identifier: GPL-2.0-only
// Each KVM_RUN clears the byte when it ends.
@@
expression E;
@@
 vcpu->wants_to_run = !(READ_ONCE(E));
 r = kvm_arch_vcpu_ioctl_run(vcpu);
+WRITE_ONCE(E, 0);
 vcpu->wants_to_run = false;
