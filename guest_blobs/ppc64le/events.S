/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * events: counts the interrupts that a host makes pending, and a heartbeat meanwhile.
 *
 * Phases: 1 external interrupts are on, the loop runs.
 * Data out: ticks external interrupts: one, see vectors.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

#define MSR_EE	0x8000

start:
	SET_UP
	mfmsr	29
	ori	29, 29, MSR_EE
	mtmsrd	29, 1
	ENTER_PHASE 1
turn:
	BEAT
	POLL_STOP
	b	turn

	LEAVE
