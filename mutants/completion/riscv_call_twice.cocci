// SPDX-License-Identifier: GPL-2.0-only
// That it was finished is not noted.
@@
@@
 kvm_riscv_vcpu_sbi_return(...)
 {
 ...
-vcpu->arch.sbi_context.return_handled = 1;
 ...
 }
