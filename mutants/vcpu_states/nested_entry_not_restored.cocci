// SPDX-License-Identifier: GPL-2.0-only
// KVM_SET_NESTED_STATE forgets that an entry of the guest's own guest is pending.

@@
expression E;
@@
(
- svm->nested.nested_run_pending = !!(E & KVM_STATE_NESTED_RUN_PENDING);
+ svm->nested.nested_run_pending = 0;
|
- vcpu->arch.nested_run_pending = KVM_NESTED_RUN_PENDING_UNTRUSTED;
+ vcpu->arch.nested_run_pending = 0;
)
