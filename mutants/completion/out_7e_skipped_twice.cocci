// SPDX-License-Identifier: GPL-2.0-only
// The end of an OUT to port 0x7e moves the program counter, which was moved before its exit.
@@
@@
 complete_fast_pio_out_port_0x7e(struct kvm_vcpu *vcpu)
 {
 <...
-return 1;
+return kvm_skip_emulated_instruction(vcpu);
 ...>
 }
