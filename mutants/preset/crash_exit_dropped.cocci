// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the exit by which userspace learns of a crash of Hyper-V's guest.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_HV_CRASH, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
