/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * halt: waits for an interrupt, again and again; each ends the wait for one turn.
 *
 * Phases: 1 about to wait, or waiting; 2 awake again.
 * Data in:  data[0] 1: there is a GIC. 0: the host's line, of which one interrupt is taken
 *           (PROGRAM_BEGINS in program.inc).
 * Data out: ticks interrupts; data[4] ends of a wfi without one.
 * Heartbeat: one a wait, counted before it.
 * wfi may end for no reason (it is a hint; and KVM moves on behind it when a signal ends its wait), so
 * it stands in a loop that looks for the interrupt, as in any kernel. Interrupts are masked there, and
 * end it all the same: none is taken between the look and the wait.
 * Leaves: when the stop word is set, but a waiting processor polls nothing: to stop it, write the
 *         word, then end its wait.
 */
#include "program.inc"

	PROGRAM_BEGINS
start:
	SET_UP
turn:
	msr	daifset, #2
	ENTER_PHASE 1
	ldr	x12, WORD(TICKS)
	BEAT
wait:
	POLL_STOP
	wfi
	msr	daifclr, #2
	isb
	msr	daifset, #2
	ldr	x9, WORD(TICKS)
	cmp	x9, x12
	b.ne	awake
	COUNT	DATA_WORD(4)
	b	wait
awake:
	ENTER_PHASE 2
	b	turn

	LEAVE
