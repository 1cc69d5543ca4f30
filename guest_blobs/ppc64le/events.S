/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * events: counts the interrupts that a host makes pending, and a heartbeat meanwhile.
 *
 * Phases: 1 interrupts are on, the loop runs.
 * Data out: ticks interrupts, see vectors.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

start:
	SET_UP
	WIND_UP
	INTERRUPTS_ON
	ENTER_PHASE 1
turn:
	BEAT
	POLL_STOP
	b	turn

	LEAVE
