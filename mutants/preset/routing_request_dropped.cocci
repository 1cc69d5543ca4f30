// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the request to look at the interrupt routing anew.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_SCAN_IOAPIC, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
