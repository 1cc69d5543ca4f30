// SPDX-License-Identifier: GPL-2.0-only
// kvm_vcpu_kick() sends no interrupt to a vCPU in guest mode.
@@
statement S;
@@
-	if (kvm_arch_vcpu_should_kick(vcpu)) S
+	if (kvm_arch_vcpu_should_kick(vcpu))
+		cpu = -1;
