// SPDX-License-Identifier: GPL-2.0-only
// A run that finishes an instruction and meets a signal does not write its flags.
@@
@@
 x86_emulate_instruction(...)
 {
 <...
-__kvm_set_rflags(vcpu, ctxt->eflags);
+if (!(emulation_type & EMULTYPE_NO_DECODE) || !signal_pending(current))
+	__kvm_set_rflags(vcpu, ctxt->eflags);
 ...>
 }
