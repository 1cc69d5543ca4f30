// SPDX-License-Identifier: GPL-2.0-only
// An immediate exit empties the ring of coalesced writes that userspace has yet to read.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	if (vcpu->kvm->coalesced_mmio_ring)
+		vcpu->kvm->coalesced_mmio_ring->last =
+			vcpu->kvm->coalesced_mmio_ring->first;
 	r = -EINTR;
 	goto out;
 }
 r = E;
