/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * halt: cedes its processor until an interrupt comes, again and again; each ends the wait for one
 * turn.
 *
 * Phases: 1 about to wait, or waiting; 2 awake again.
 * Data out: ticks interrupts, see vectors; data[3] ends of a wait without one.
 * Heartbeat: one a wait, counted before it.
 * H_CEDE may end for other reasons (KVM ends it when a signal ends its wait, and the decrementer
 * does), so it stands in a loop that looks whether an interrupt was taken, as in any kernel.
 * Interrupts are off at the look, and H_CEDE switches them on: none comes in between.
 * Leaves: when the stop word is set, but a waiting processor polls nothing: to stop it, write the
 *         word, then end its wait.
 */
#include "program.inc"

#define H_CEDE	0xe0

start:
	SET_UP
turn:
	INTERRUPTS_OFF
	WIND_UP
	ld	20, WORD(TICKS)
	ENTER_PHASE 1
	BEAT
wait:
	POLL_STOP
	li	3, H_CEDE
	sc	1
	INTERRUPTS_OFF
	ld	21, WORD(TICKS)
	cmpd	20, 21
	bne	awake
	COUNT	DATA_WORD(3)
	b	wait
awake:
	ENTER_PHASE 2
	b	turn

	LEAVE
