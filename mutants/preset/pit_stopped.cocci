// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit cancels the host's timer behind the PIT, whose registers stay.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->kvm->arch.vpit)
+		hrtimer_cancel(&vcpu->kvm->arch.vpit->pit_state.timer);
 	r = -EINTR;
 	goto out;
 }
 r = E;
