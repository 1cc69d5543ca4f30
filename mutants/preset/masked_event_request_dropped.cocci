// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the request to look for events where an interrupt waits for a lower priority.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (lapic_in_kernel(vcpu) && kvm_lapic_find_highest_irr(vcpu) != -1 &&
+	    !kvm_cpu_has_injectable_intr(vcpu))
+		kvm_clear_request(KVM_REQ_EVENT, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
