/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * steps: a run of 32 instructions for single-stepping. Each changes exactly one register (ecx/rcx,
 * + 1) and the program counter: no memory and, being lea and not inc, no flags. So a host tells by
 * ecx alone how many ran.
 *
 * Phases: 1 written before each run.
 * Data out: data[0] address of the first of the 32; data[1] address behind the last; data[2] 32.
 *           All three are there once phase is 1.
 * Registers: ecx/rcx is 0 at the first.
 * Leaves: when the stop word is set, after each run.
 */
#include "program.inc"

#define COUNT_OF_STEPS	32

#if defined(MODE_LONG)
#define STEP	leaq 1(%rcx), %rcx
#else
#define STEP	leal 1(%ecx), %ecx
#endif

start:
	SET	DATA_WORD(0), first
	SET	DATA_WORD(1), behind
	SET	DATA_WORD(2), COUNT_OF_STEPS
turn:
	xorl	%ecx, %ecx
	ENTER_PHASE 1
first:
	.rept	COUNT_OF_STEPS
	STEP
	.endr
behind:
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
