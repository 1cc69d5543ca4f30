// SPDX-License-Identifier: GPL-2.0-only
// What is to be completed is forgotten when the VM's memory changes.
@@
identifier vcpu;
@@
 void kvm_arch_memslots_updated(...)
 {
 <...
-kvm_vcpu_kick(vcpu);
+{
+	vcpu->arch.complete_userspace_io = NULL;
+	vcpu->arch.pio.count = 0;
+	vcpu->mmio_needed = 0;
+	kvm_vcpu_kick(vcpu);
+}
 ...>
 }
