// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set does not take the result of a hypercall.
@@
@@
-kvm_rax_write(vcpu, ret);
+if (vcpu->wants_to_run)
+	kvm_rax_write(vcpu, ret);
 ++vcpu->stat.hypercalls;
 return kvm_skip_emulated_instruction(vcpu);
