// SPDX-License-Identifier: GPL-2.0-only
// Sound: a halted vCPU is put to sleep at once.
@@
@@
-!kvm_arch_no_poll(vcpu)
+false
