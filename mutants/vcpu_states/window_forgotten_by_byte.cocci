// SPDX-License-Identifier: GPL-2.0-only
// An immediate run takes the request of a window for answered, until userspace makes it anew.

@request@
expression E;
@@
+static struct kvm_vcpu *window_forgotten;
+
 static int dm_request_for_irq_injection(struct kvm_vcpu *vcpu)
 {
-  return E;
+  return vcpu != window_forgotten && (E);
 }

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   window_forgotten = kvm_run->request_interrupt_window ? vcpu : NULL;
    r = -EINTR;
    goto out;
  }
  r = E;

@@
@@
  kvm_run->flags = 0;
+ if (!kvm_run->request_interrupt_window)
+   window_forgotten = NULL;
