// SPDX-License-Identifier: GPL-2.0-only
// Sound: a signal ends the wait for a vCPU's mutex.
@@
@@
-mutex_lock_killable(&vcpu->mutex)
+mutex_lock_interruptible(&vcpu->mutex)
