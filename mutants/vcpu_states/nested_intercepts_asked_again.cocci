// SPDX-License-Identifier: GPL-2.0-only
// The end of an operation that left KVM_RUN asks the intercepts of the guest's hypervisor once more.

@@
expression C;
@@
  x86_emulate_insn(C, is_guest_mode(vcpu)
-                   && !(emulation_type & EMULTYPE_NO_DECODE)
  )
