// SPDX-License-Identifier: GPL-2.0-only
// The mask is not put on.
@@
@@
-kvm_sigset_activate(vcpu);
