/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mmio: loads 32 bits from an address without memory, stores the value + 1 beside it.
 *
 * Phases: 1 before and at the load (0xd0000); 2 after it, before and at the store (0xd0004).
 * Data out: data[0] the value loaded; data[1] + 1 once instructions after the load ran;
 *           data[2] + 1 once instructions after the store ran.
 * Registers: r3 is 0 before the load and the value after it; the next instruction stores it to
 *            data[0]. At the store r3 is the value + 1. r15 holds the window's address.
 * Leaves: when the stop word is set, after a full turn.
 */
#include "program.inc"

start:
	SET_UP
	ADDRESS	15, MMIO_BASE
turn:
	ENTER_PHASE 1
	li	3, 0
	lwz	3, 0(15)
	std	3, WORD(DATA_WORD(0))
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	addi	3, 3, 1
	stw	3, 4(15)
	COUNT	DATA_WORD(2)
	BEAT
	POLL_STOP
	b	turn

	LEAVE
