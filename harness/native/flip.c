// SPDX-License-Identifier: GPL-2.0-only
/* Flips a byte under the kernel's eyes: whatever it reads twice may differ. */
#include "flip.h"

uint64_t ke_flip(uint8_t *byte, const volatile uint32_t *over)
{
	uint64_t stores = 0;

	while (!*over) {
		/* No order is meant: the reader is not to find any. */
		__atomic_store_n(byte, (uint8_t)(~stores & 1), __ATOMIC_RELAXED);
		stores++;
	}
	__atomic_store_n(byte, 0, __ATOMIC_RELEASE);
	return stores;
}
