/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hypercall: makes the hypercall that the host describes, again and again.
 *
 * Phases: 1 before and at the call; 2 after it.
 * Data in:  data[4] number (r3), data[5] to data[8] arguments (r4 to r7).
 * Data out: data[0] the result (r3), data[3] what came in r4; data[1] + 1 once instructions after the
 *           call ran; data[2] calls that were answered with H_FUNCTION (-2): there is no such one.
 * Registers: r16 is 0 at the call and the very next instruction makes it 1: 0 says that nothing ran
 *            after it.
 * Leaves: when the stop word is set, after a full turn.
 */
#include "program.inc"

start:
	SET_UP
turn:
	ENTER_PHASE 1
	ld	3, WORD(DATA_WORD(4))
	ld	4, WORD(DATA_WORD(5))
	ld	5, WORD(DATA_WORD(6))
	ld	6, WORD(DATA_WORD(7))
	ld	7, WORD(DATA_WORD(8))
	li	16, 0
	sc	1
	addi	16, 16, 1
	std	3, WORD(DATA_WORD(0))
	std	4, WORD(DATA_WORD(3))
	cmpdi	3, -2
	bne	served
	COUNT	DATA_WORD(2)
served:
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	BEAT
	POLL_STOP
	b	turn

	LEAVE
