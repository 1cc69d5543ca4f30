/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * task_priority: raises CR8 and lowers it again; in long mode, for there it is a register.
 *
 * Phases: 1 before it is lowered; 2 after it.
 * Data in:  data[5] the high priority, data[6] the low one.
 * Data out: data[0] CR8 as it is read after it was lowered; data[1] + 1 once instructions after the
 *           raise ran; data[2] + 1 once instructions after the fall ran.
 * Leaves: when the stop word is set, after a turn.
 */
#include "program.inc"

start:
turn:
	ENTER_PHASE 1
	mov	DATA_WORD(5), AX
	mov	AX, %cr8
	COUNT	DATA_WORD(1)
	mov	DATA_WORD(6), AX
	mov	AX, %cr8
	mov	%cr8, DX
	mov	DX, DATA_WORD(0)
	COUNT	DATA_WORD(2)
	ENTER_PHASE 2
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
