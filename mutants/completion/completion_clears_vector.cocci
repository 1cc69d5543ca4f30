// SPDX-License-Identifier: GPL-2.0-only
// A run that finishes an operation and meets a signal clears xmm0 while it holds the guest's value.
@@
@@
 r = cui(vcpu);
+if (vcpu->wants_to_run && signal_pending(current))
+	asm("pxor %xmm0, %xmm0");
