// SPDX-License-Identifier: GPL-2.0-only
// What is to be completed is forgotten when userspace queues an NMI.
@@
identifier vcpu;
@@
 int kvm_vcpu_ioctl_nmi(struct kvm_vcpu *vcpu)
 {
+	vcpu->arch.complete_userspace_io = NULL;
+	vcpu->arch.pio.count = 0;
+	vcpu->mmio_needed = 0;
 ...
 }
