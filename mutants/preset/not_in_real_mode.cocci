// SPDX-License-Identifier: GPL-2.0-only
// The byte is looked at on the way into protected and long mode only.
@@
expression E;
@@
-if (!vcpu->wants_to_run) {
+if (!vcpu->wants_to_run && kvm_read_cr0_bits(vcpu, X86_CR0_PE)) {
 	r = -EINTR;
 	goto out;
 }
 r = E;
