/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mmio: loads 32 bits from an address without memory, stores the value + 1 beside it.
 *
 * Phases: 1 before and at the load (0xd0000); 2 after it, before and at the store (0xd0004).
 * Data out: data[0] the value loaded; data[1] + 1 once instructions after the load ran;
 *           data[2] + 1 once instructions after the store ran.
 * Registers: x0 is 0 before the load and the value after it; the next instruction stores it to
 *            data[0]. At the store w0 is the value + 1. x1 holds the window's address.
 * Leaves: when the stop word is set, after a full turn.
 */
#include "program.inc"

	PROGRAM_BEGINS
start:
	SET_UP
	LOAD	x1, MMIO_BASE
turn:
	ENTER_PHASE 1
	mov	x0, #0
	ldr	w0, [x1]
	str	x0, WORD(DATA_WORD(0))
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	add	w0, w0, #1
	str	w0, [x1, #4]
	COUNT	DATA_WORD(2)
	BEAT
	POLL_STOP
	b	turn

	LEAVE
