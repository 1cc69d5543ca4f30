/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vectors: the handlers of interrupts, which every program has below itself, where the processor goes
 * without translation, whatever the mode: 0x500 external, 0x900 decrementer.
 *
 * An external interrupt is counted in TICKS. The host's line (KVM_INTERRUPT) stays up until the host
 * lowers it, so the handler goes back with interrupts off, and one such interrupt is one tick. The
 * decrementer is wound up again for as long as it goes. SPRG0 and SPRG1 are the scratch.
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

	.org	DECREMENTER - EXTERNAL_INTERRUPT
	mtsprg	0, 29
	WIND_UP
	mfsprg	29, 0
	rfid
