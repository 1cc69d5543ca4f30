// SPDX-License-Identifier: GPL-2.0-only
// Without a mask of its own, KVM_RUN clears TIF_SIGPENDING on its way in.
@@
identifier vcpu;
@@
 kvm_sigset_activate(struct kvm_vcpu *vcpu)
 {
-	if (!vcpu->sigset_active)
+	if (!vcpu->sigset_active) {
+		clear_thread_flag(TIF_SIGPENDING);
 		return;
+	}
 ...
 }

// Forgotten for this run only: the thread's flag is right again when KVM_RUN has returned.
@@
@@
 r = kvm_arch_vcpu_ioctl_run(vcpu);
-vcpu->wants_to_run = false;
+vcpu->wants_to_run = 0;
+spin_lock_irq(&current->sighand->siglock);
+recalc_sigpending();
+spin_unlock_irq(&current->sighand->siglock);
