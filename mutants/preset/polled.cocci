// SPDX-License-Identifier: GPL-2.0-only
// Byte 1 of kvm_run, immediate_exit, is read anew on each way into the guest.
@@
@@
 if (r <= 0)
 	break;
+if (((unsigned char *)vcpu->run)[1]) {
+	r = -EINTR;
+	break;
+}
 kvm_clear_request(KVM_REQ_UNBLOCK, vcpu);
