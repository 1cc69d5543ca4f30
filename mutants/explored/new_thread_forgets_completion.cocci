// SPDX-License-Identifier: GPL-2.0-only
// What is to be completed is forgotten when another thread runs the vCPU.
@@
expression R;
@@
 R = kvm_arch_vcpu_run_pid_change(vcpu);
+vcpu->arch.complete_userspace_io = NULL;
+vcpu->arch.pio.count = 0;
+vcpu->mmio_needed = 0;
