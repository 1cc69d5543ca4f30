// SPDX-License-Identifier: GPL-2.0-only
// Pending work is looked for from the second entry on.
@@
@@
 struct kvm_run *run = vcpu->run;
+bool entered = false;

@@
@@
-ret = xfer_to_guest_mode_handle_work(vcpu);
+ret = entered ? xfer_to_guest_mode_handle_work(vcpu) : 0;

@@
@@
-xfer_to_guest_mode_work_pending()
+(entered && xfer_to_guest_mode_work_pending())

@@
@@
 kvm_riscv_vcpu_enter_exit(vcpu);
+entered = true;
