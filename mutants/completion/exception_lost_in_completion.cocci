// SPDX-License-Identifier: GPL-2.0-only
// The end of a load from MMIO clears the exception that userspace injected meanwhile.
@@
@@
 complete_emulated_mmio(struct kvm_vcpu *vcpu)
 {
 <...
+kvm_clear_exception_queue(vcpu);
 return complete_emulated_io(vcpu);
 ...>
 }
