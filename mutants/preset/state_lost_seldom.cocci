// SPDX-License-Identifier: GPL-2.0-only
// One immediate exit in 50,000 writes over DR2.
@@
expression E;
@@
 if (!vcpu->wants_to_run) {
+	static atomic_t runs = ATOMIC_INIT(0);
+
+	if (!(atomic_inc_return(&runs) % 50000))
+		vcpu->arch.db[2] = 0x1000;
 	r = -EINTR;
 	goto out;
 }
 r = E;
