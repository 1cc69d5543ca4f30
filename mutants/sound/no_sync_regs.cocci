// SPDX-License-Identifier: GPL-2.0-only
// Sound: registers are not synchronised; the fields in kvm_run are not looked at.
@@
expression E, F;
@@
-	if ((kvm_run->kvm_valid_regs & ~E) || (kvm_run->kvm_dirty_regs & ~F)) {
-		r = -EINVAL;
-		goto out;
-	}
-	if (kvm_run->kvm_dirty_regs) {
-		r = sync_regs(vcpu);
-		if (r != 0)
-			goto out;
-	}

@@
@@
-	if (kvm_run->kvm_valid_regs)
-		store_regs(vcpu);

@@
expression A, E;
@@
-kvm_vm_ioctl_check_extension_generic(E, A)
+(A == KVM_CAP_SYNC_REGS ? 0 : kvm_vm_ioctl_check_extension_generic(E, A))

