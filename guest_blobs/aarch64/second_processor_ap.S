/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * second_processor_ap: what the processor executes that second_processor starts: counts for ever.
 * PSCI enters it in EL1 with the MMU off; it uses no stack and takes no exception.
 *
 * Data out: data[0] + 1 each turn.
 * Registers: x0 at its entry is what PSCI was given as the context: the mailbox' address.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

start:
	mov	x28, x0
turn:
	COUNT	DATA_WORD(0)
	POLL_STOP
	b	turn
leave_stopped:
	mov	w9, #DONE_STOPPED
	LOAD	x10, DONE_WORD
	str	w9, [x10]
	b	turn
