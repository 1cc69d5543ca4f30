// SPDX-License-Identifier: GPL-2.0-only
// A run with the byte set that finishes an instruction does not write its flags.
@@
@@
 x86_emulate_instruction(...)
 {
 <...
-__kvm_set_rflags(vcpu, ctxt->eflags);
+if (vcpu->wants_to_run)
+	__kvm_set_rflags(vcpu, ctxt->eflags);
 ...>
 }
