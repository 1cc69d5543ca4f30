// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit takes the request of an interrupt window back.
@@
expression E;
@@
 vcpu->wants_to_run = !(READ_ONCE(E));
+if (!vcpu->wants_to_run)
+	vcpu->run->request_interrupt_window = 0;
 r = kvm_arch_vcpu_ioctl_run(vcpu);
