// SPDX-License-Identifier: GPL-2.0-only
// Sound: one exit in 1,000 ends KVM_RUN as a signal does, and there is none.
@@
@@
 if (r <= 0)
 	break;
+{
+	static atomic_t exits;
+
+	if (atomic_inc_return(&exits) % 1000 == 0) {
+		r = -EINTR;
+		vcpu->run->exit_reason = KVM_EXIT_INTR;
+		break;
+	}
+}
 kvm_clear_request(KVM_REQ_UNBLOCK, vcpu);
