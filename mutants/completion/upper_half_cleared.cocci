// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set clears the bits of RAX that an IN of 8 or 16 bits leaves.
@@
expression val;
identifier R =~ "^kvm_rax_read";
@@
-val = (vcpu->arch.pio.size < 4) ? R(vcpu) : 0;
+val = (vcpu->arch.pio.size < 4 && vcpu->wants_to_run) ? R(vcpu) : 0;
 complete_emulator_pio_in(vcpu, &val);
