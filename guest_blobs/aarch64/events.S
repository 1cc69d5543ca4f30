/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * events: counts with interrupts and system errors on.
 *
 * Phases: 1 they are on, the loop runs. Before that an interrupt waits.
 * Data in:  data[0] 1: there is a GIC (PROGRAM_BEGINS in program.inc).
 * Data out: ticks interrupts; data[2] SErrors; data[3] aborts of data that the host injected.
 * Any other exception ends with DONE_UNEXPECTED.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

	PROGRAM_BEGINS
start:
	SET_UP
	msr	daifclr, #6
	ENTER_PHASE 1
turn:
	BEAT
	POLL_STOP
	b	turn

	LEAVE
