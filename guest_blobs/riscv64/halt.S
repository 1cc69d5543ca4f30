/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * halt: waits for an interrupt, again and again; each ends the wait for one turn.
 *
 * Phases: 1 about to wait, or waiting; 2 awake again.
 * Data out: ticks interrupts (PROGRAM_BEGINS in program.inc); data[3] ends of a wfi without one.
 * Heartbeat: one a wait, counted before it.
 * wfi may end for no reason (it is a hint; and KVM moves on behind it when a signal ends its wait),
 * so it stands in a loop that looks for the interrupt, as in any kernel. Interrupts are held off
 * there, and end it all the same: none is taken between the look and the wait.
 * Leaves: when the stop word is set, but a waiting hart polls nothing: to stop it, write the word,
 *         then end its wait.
 */
#define ENDS_IN_SUPERVISOR
#include "program.inc"

	PROGRAM_BEGINS
start:
	SET_UP
	TO_SUPERVISOR
	ENABLE_INTERRUPT
turn:
	csrci	sstatus, SSTATUS_SIE
	ENTER_PHASE 1
	BEAT
wait:
	POLL_STOP
	wfi
	csrr	t0, sip
	andi	t0, t0, INTERRUPTS
	bnez	t0, awake
	COUNT	DATA_WORD(3)
	j	wait
awake:
	csrsi	sstatus, SSTATUS_SIE
	csrci	sstatus, SSTATUS_SIE
	ENTER_PHASE 2
	j	turn

	LEAVE
