// SPDX-License-Identifier: GPL-2.0-only
// A vCPU that sleeps in its halt is left for queued signals only, not for a stop, a freeze or work.
@@
@@
 kvm_vcpu_check_block(...)
 {
 <...
-if (signal_pending(current))
+if (signal_pending(current) &&
+    (!sigisemptyset(&current->pending.signal) ||
+     !sigisemptyset(&current->signal->shared_pending.signal)))
 	goto out;
 ...>
 }
