// SPDX-License-Identifier: GPL-2.0-only
// Every second immediate exit leaves apic_base as it was.
@@
@@
-post_kvm_run_save(vcpu);
+{
+	static atomic_t exits;
+	u64 base = kvm_run->apic_base;
+
+	post_kvm_run_save(vcpu);
+	if (!vcpu->wants_to_run && atomic_inc_return(&exits) % 2 == 0)
+		kvm_run->apic_base = base;
+}
 kvm_vcpu_srcu_read_unlock(vcpu);
