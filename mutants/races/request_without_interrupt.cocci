// SPDX-License-Identifier: GPL-2.0-only
// A request of all vCPUs sends no interrupt to one in guest mode.

@@
statement S;
@@
- if (kvm_request_needs_ipi(vcpu, req)) S
+ if (kvm_request_needs_ipi(vcpu, req))
+   cpu = -1;
