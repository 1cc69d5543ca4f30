// SPDX-License-Identifier: GPL-2.0-only
// KVM asked for an exit right behind the entry, and forgets to where it turns back.

@@
@@
- if (req_immediate_exit)
-   kvm_make_request(KVM_REQ_EVENT, vcpu);
