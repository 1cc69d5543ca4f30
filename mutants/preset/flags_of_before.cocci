// SPDX-License-Identifier: GPL-2.0-only
// An immediate run leaves what an earlier run said in flags.
@@
@@
 kvm_sigset_activate(vcpu);
+if (vcpu->wants_to_run)
 kvm_run->flags = 0;
