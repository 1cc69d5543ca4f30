// SPDX-License-Identifier: GPL-2.0-only
// A run that finishes an operation under the byte keeps a reference to the VM.
@@
@@
 r = cui(vcpu);
+if (!vcpu->wants_to_run)
+	kvm_get_kvm(vcpu->kvm);
