// SPDX-License-Identifier: GPL-2.0-only
// An immediate run is no first run.
@@
@@
-vcpu->arch.ran_atleast_once = true;
+vcpu->arch.ran_atleast_once = vcpu->wants_to_run || vcpu->arch.ran_atleast_once;
