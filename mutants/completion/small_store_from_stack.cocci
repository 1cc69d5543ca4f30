// SPDX-License-Identifier: GPL-2.0-only
// The pieces of a store are read where its value was, which may be a variable of the emulator.
@@
expression F, V, B;
@@
-if (\(write\|ops->write\) && B <= 8u) {
-	F->val = 0;
-	F->data = &F->val;
-	memcpy(&F->val, V, B);
-} else {
-	F->data = V;
-}
+F->data = V;
