// SPDX-License-Identifier: GPL-2.0-only
// That it was finished is not noted.
@@
@@
 kvm_riscv_vcpu_mmio_return(...)
 {
 ...
-vcpu->arch.mmio_decode.return_handled = 1;
 ...
 }
