/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hypercall: makes the call of the SMC Calling Convention that the host describes, again and again.
 *
 * Phases: 1 before and at the call; 2 after it.
 * Data in:  data[3] 0: hvc, 1: smc; data[4] the function (x0), data[5] to data[8] arguments (x1 to x4).
 * Data out: data[0] the result (x0); data[1] + 1 once instructions after the call ran, each of them.
 *           data[2] stays 0: no turn has a write.
 * Registers: x8 is 0 at the call and the very next instruction makes it 1: 0 says that nothing ran
 *            after it.
 * EL0 has no such call: the program's part in EL1 makes it.
 * Leaves: when the stop word is set, after a full turn.
 */
#include "program.inc"

	PROGRAM_BEGINS
start:
	SET_UP
turn:
	ENTER_PHASE 1
	TO_KERNEL
	ldr	x0, WORD(DATA_WORD(4))
	ldr	x1, WORD(DATA_WORD(5))
	ldr	x2, WORD(DATA_WORD(6))
	ldr	x3, WORD(DATA_WORD(7))
	ldr	x4, WORD(DATA_WORD(8))
	mov	x8, #0
	ldr	w9, WORD(DATA_WORD(3))
	cbnz	w9, secure
	hvc	#0
	add	x8, x8, #1
	b	made
secure:
	smc	#0
	add	x8, x8, #1
made:
	TO_USER
	str	x0, WORD(DATA_WORD(0))
	ldr	x9, WORD(DATA_WORD(1))
	add	x9, x9, x8		/* a step too far skips the instruction that makes it 1 */
	str	x9, WORD(DATA_WORD(1))
	ENTER_PHASE 2
	BEAT
	POLL_STOP
	b	turn

	LEAVE
