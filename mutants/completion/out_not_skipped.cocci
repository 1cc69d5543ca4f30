// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set leaves the program counter at an OUT that is done.
@@
expression E;
@@
 vcpu->arch.pio.count = 0;
-if (unlikely(!kvm_is_linear_rip(vcpu, E)))
+if (unlikely(!vcpu->wants_to_run || !kvm_is_linear_rip(vcpu, E)))
 	return 1;
