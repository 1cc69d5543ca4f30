/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * second_processor_ap: what the second hart runs once it was started, in supervisor mode, satp 0:
 * so the SBI leaves it, whatever the first hart's mode is.
 *
 * Data out: data[0] its own heartbeat (32 bits).
 * Leaves: when the stop word is set, the first hart's as well: by DONE_WORD, as the first one.
 */
#include "program.inc"

start:
	SET_UP
turn:
	COUNT	DATA_WORD(0)
	POLL_STOP
	j	turn

	LEAVE
