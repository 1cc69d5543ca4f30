/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * steps: a run of 32 instructions, each of which changes exactly one register (r16, + 1) and the
 * program counter. So a host tells by r16 alone how many ran.
 *
 * Phases: 1 written before each run.
 * Data out: data[0] address of the first of the 32; data[1] address behind the last; data[2] 32.
 *           All three are there once phase is 1.
 * Registers: r16 is 0 at the first.
 * Leaves: when the stop word is set, after each run.
 */
#include "program.inc"

#define COUNT_OF_STEPS	32

start:
	SET_UP
	bl	here
here:
	mflr	3
	addi	4, 3, first - here
	std	4, WORD(DATA_WORD(0))
	addi	4, 3, behind - here
	std	4, WORD(DATA_WORD(1))
	SET	DATA_WORD(2), COUNT_OF_STEPS
turn:
	li	16, 0
	ENTER_PHASE 1
first:
	.rept	COUNT_OF_STEPS
	addi	16, 16, 1
	.endr
behind:
	BEAT
	POLL_STOP
	b	turn

	LEAVE
