// SPDX-License-Identifier: GPL-2.0-only
// What a run with the byte set stores to the guest's memory is not in the dirty log.
@@
expression R;
@@
-R = kvm_vcpu_write_guest(vcpu, gpa, val, bytes);
+if (vcpu->wants_to_run)
+	R = kvm_vcpu_write_guest(vcpu, gpa, val, bytes);
+else
+	R = __copy_to_user((void *)(gfn_to_hva(vcpu->kvm, gpa >> PAGE_SHIFT) +
+				    offset_in_page(gpa)), val, bytes) ? -EFAULT : 0;
 if (R < 0)
 	return 0;
