// SPDX-License-Identifier: GPL-2.0-only
// A signal that ends KVM_RUN cancels the host's timer behind the PIT, whose registers stay.
@@
@@
 r = vcpu_run(vcpu);
+if (r == -EINTR && vcpu->kvm->arch.vpit)
+	hrtimer_cancel(&vcpu->kvm->arch.vpit->pit_state.timer);
