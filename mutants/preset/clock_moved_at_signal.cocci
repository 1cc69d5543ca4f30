// SPDX-License-Identifier: GPL-2.0-only
// A KVM_RUN that a signal ends moves the VM's clock by a millisecond.
@@
@@
 r = vcpu_run(vcpu);
+if (r == -EINTR)
+	vcpu->kvm->arch.kvmclock_offset += NSEC_PER_MSEC;
