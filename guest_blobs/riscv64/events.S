/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * events: counts the interrupts that a host makes pending, and a heartbeat meanwhile.
 *
 * Phases: 1 interrupts are on, the loop runs.
 * Data out: ticks interrupts (PROGRAM_BEGINS in program.inc).
 * Leaves: when the stop word is set.
 */
#include "program.inc"

	PROGRAM_BEGINS
start:
	SET_UP
	TO_SUPERVISOR
	ENABLE_INTERRUPT
	csrsi	sstatus, SSTATUS_SIE
	TO_USER
	ENTER_PHASE 1
turn:
	BEAT
	POLL_STOP
	j	turn

	LEAVE
