// SPDX-License-Identifier: GPL-2.0-only
// A wait for the guest's memory ends by fatal signals only.

@@
expression slot, gfn, write, writable, hva;
@@
- __gfn_to_pfn_memslot(slot, gfn, false, true, NULL, write, writable, hva)
+ __gfn_to_pfn_memslot(slot, gfn, false, false, NULL, write, writable, hva)
