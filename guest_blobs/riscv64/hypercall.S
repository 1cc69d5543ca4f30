/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hypercall: makes the SBI call that the host describes, again and again.
 *
 * Phases: 1 before and at the call; 2 after it.
 * Data in:  data[4] extension (a7), data[5] function (a6), data[6] to data[8] arguments (a0 to a2).
 * Data out: data[0] the error (a0), data[3] the value (a1); data[1] + 1 once instructions after the
 *           call ran; data[2] calls that the SBI answered with SBI_ERR_NOT_SUPPORTED (-2).
 * Registers: s2 is 0 at the call and the very next instruction makes it 1: 0 says that nothing ran
 *            after it.
 * User mode has no such call of its own: it is made by the program's supervisor part.
 * Leaves: when the stop word is set, after a full turn.
 */
#include "program.inc"

	PROGRAM_BEGINS
start:
	SET_UP
turn:
	ENTER_PHASE 1
	TO_SUPERVISOR
	ld	a7, WORD(DATA_WORD(4))
	ld	a6, WORD(DATA_WORD(5))
	ld	a0, WORD(DATA_WORD(6))
	ld	a1, WORD(DATA_WORD(7))
	ld	a2, WORD(DATA_WORD(8))
	li	s2, 0
	ecall
	addi	s2, s2, 1
	TO_USER
	sd	a0, WORD(DATA_WORD(0))
	sd	a1, WORD(DATA_WORD(3))
	li	t0, -2
	bne	a0, t0, served
	COUNT	DATA_WORD(2)
served:
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	BEAT
	POLL_STOP
	j	turn

	LEAVE
