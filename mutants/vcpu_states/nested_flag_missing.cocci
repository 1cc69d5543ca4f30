// SPDX-License-Identifier: GPL-2.0-only
// kvm_run.flags never says that the vCPU is in its guest's own guest.

@@
expression run;
@@
- run->flags |= KVM_RUN_X86_GUEST_MODE;
+ ;
