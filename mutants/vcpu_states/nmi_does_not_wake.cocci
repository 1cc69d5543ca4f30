// SPDX-License-Identifier: GPL-2.0-only
// An NMI by an interrupt message does not wake a halted vCPU that sleeps.
@@
@@
 kvm_inject_nmi(vcpu);
-kvm_vcpu_kick(vcpu);
+if (READ_ONCE(vcpu->mode) != OUTSIDE_GUEST_MODE)
+	kvm_vcpu_kick(vcpu);
