/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * steps: a run of 32 instructions for single-stepping. Each changes exactly one register (x1, + 1) and
 * the program counter: no memory and no flags. So a host tells by x1 alone how many ran.
 *
 * Phases: 1 written before each run.
 * Data out: data[0] address of the first of the 32; data[1] address behind the last; data[2] 32.
 *           All three are there once phase is 1.
 * Registers: x1 is 0 at the first.
 * Leaves: when the stop word is set, after each run.
 */
#include "program.inc"

#define COUNT_OF_STEPS	32

	PROGRAM_BEGINS
start:
	SET_UP
	SET_ADDRESS DATA_WORD(0), first
	SET_ADDRESS DATA_WORD(1), behind
	SET	DATA_WORD(2), COUNT_OF_STEPS
turn:
	mov	x1, #0
	ENTER_PHASE 1
first:
	.rept	COUNT_OF_STEPS
	add	x1, x1, #1
	.endr
behind:
	BEAT
	POLL_STOP
	b	turn

	LEAVE
