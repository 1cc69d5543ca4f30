// SPDX-License-Identifier: GPL-2.0-only
// The mask stays on after an exit.
@@
@@
-kvm_sigset_deactivate(vcpu);
+if (ret == -EINTR)
+	kvm_sigset_deactivate(vcpu);
