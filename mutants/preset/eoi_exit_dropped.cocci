// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit drops the exit by which userspace's I/O APIC learns of an EOI.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	kvm_clear_request(KVM_REQ_IOAPIC_EOI_EXIT, vcpu);
 	r = -EINTR;
 	goto out;
 }
 r = E;
