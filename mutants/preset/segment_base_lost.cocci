// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit clears the base of GS.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	{
+		struct kvm_segment segment;
+
+		kvm_get_segment(vcpu, &segment, VCPU_SREG_GS);
+		segment.base = 0;
+		kvm_set_segment(vcpu, &segment, VCPU_SREG_GS);
+	}
 	r = -EINTR;
 	goto out;
 }
 r = E;
