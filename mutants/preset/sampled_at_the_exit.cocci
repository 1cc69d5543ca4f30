// SPDX-License-Identifier: GPL-2.0-only
// Once a vCPU has run, the byte is read when KVM_RUN ends, for the next one.
@@
expression E;
@@
-vcpu->wants_to_run = !(READ_ONCE(E));
+if (!oldpid)
+	vcpu->wants_to_run = !(READ_ONCE(E));
 r = kvm_arch_vcpu_ioctl_run(vcpu);
-vcpu->wants_to_run = false;
+vcpu->wants_to_run = !(READ_ONCE(E));
