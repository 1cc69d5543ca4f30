// SPDX-License-Identifier: GPL-2.0-only
// The fast path enters the guest again without a look at pending work.
@@
@@
-	if (unlikely(kvm_vcpu_exit_request(vcpu))) {
+	if (unlikely(kvm_request_pending(vcpu))) {
 		exit_fastpath = EXIT_FASTPATH_EXIT_HANDLED;
 		break;
 	}
