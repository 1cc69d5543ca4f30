// SPDX-License-Identifier: GPL-2.0-only
// KVM_SET_SIGNAL_MASK does not look at the length.

@@
@@
- if (kvm_sigmask.len != sizeof(sigset))
-   goto out;
