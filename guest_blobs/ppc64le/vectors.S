/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vectors: the handler of the external interrupt, which every program has below itself: at 0x500,
 * where the processor goes without translation, whatever the mode.
 *
 * It counts in TICKS and goes back with external interrupts off (bit 0x8000 of the machine state):
 * the host's line (KVM_INTERRUPT) stays up until the host lowers it, and one such interrupt is one
 * tick. SPRG0 and SPRG1 are its scratch.
 */
#include "program.inc"

start:
	mtsprg	0, 29
	mtsprg	1, 31
	li	31, MAILBOX
	COUNT	TICKS
	mfsrr1	29
	rldicl	29, 29, 48, 1
	rotldi	29, 29, 16
	mtsrr1	29
	mfsprg	29, 0
	mfsprg	31, 1
	rfid
