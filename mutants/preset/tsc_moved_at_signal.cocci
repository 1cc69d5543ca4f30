// SPDX-License-Identifier: GPL-2.0-only
// A KVM_RUN that a signal ends sets the guest's TSC back by a thousand cycles.
@@
@@
 r = vcpu_run(vcpu);
+if (r == -EINTR)
+	adjust_tsc_offset_guest(vcpu, -1000);
