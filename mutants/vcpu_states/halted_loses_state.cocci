// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit of a halted vCPU writes over a debug register.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->arch.mp_state == KVM_MP_STATE_HALTED)
+		vcpu->arch.db[2] = 0x1000;
 	r = -EINTR;
 	goto out;
 }
 r = E;
