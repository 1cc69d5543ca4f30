// SPDX-License-Identifier: GPL-2.0-only
// An immediate run marks a page dirty.

@@
expression E;
@@
  if (!vcpu->wants_to_run) {
+   kvm_vcpu_mark_page_dirty(vcpu, 0);
    r = -EINTR;
    goto out;
  }
  r = E;
