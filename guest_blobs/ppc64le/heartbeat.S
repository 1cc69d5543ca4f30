/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * heartbeat: counts for ever. A host reads the counter to see whether the guest ran.
 *
 * Phases: 1 in the loop.
 * Data: none.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

start:
	SET_UP
	ENTER_PHASE 1
turn:
	BEAT
	POLL_STOP
	b	turn

	LEAVE
