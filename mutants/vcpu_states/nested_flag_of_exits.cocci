// SPDX-License-Identifier: GPL-2.0-only
// An immediate run leaves KVM_RUN_X86_GUEST_MODE out of kvm_run.flags.

@@
expression run;
@@
- if (is_guest_mode(vcpu))
+ if (vcpu->wants_to_run && is_guest_mode(vcpu))
	run->flags |= KVM_RUN_X86_GUEST_MODE;
