/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * second_processor: starts another hart by the SBI's hart state management, and counts meanwhile.
 * The other one runs second_processor_ap.
 *
 * Phases: 1 waits for data[3] to be 0; 2 about to start it; 3 started, counting.
 * Data in: data[3] 0: start it at once; 1: not until the host writes 0.
 *          data[4] the hart to start.
 * Data out: data[5] the SBI's answer. data[0] belongs to the other hart.
 * Heartbeat: counts in phases 1 and 3.
 * Leaves: when the stop word is set (both harts do).
 */
#include "program.inc"

#define SBI_HSM		0x48534d
#define SBI_HART_START	0

	PROGRAM_BEGINS
start:
	SET_UP
	ENTER_PHASE 1
wait:
	BEAT
	POLL_STOP
	lw	t0, WORD(DATA_WORD(3))
	bnez	t0, wait
	ENTER_PHASE 2
	TO_SUPERVISOR
	li	a7, SBI_HSM
	li	a6, SBI_HART_START
	ld	a0, WORD(DATA_WORD(4))
	li	a1, SECOND_PROGRAM
	li	a2, 0
	ecall
	TO_USER
	sd	a0, WORD(DATA_WORD(5))
	ENTER_PHASE 3
turn:
	BEAT
	POLL_STOP
	j	turn

	LEAVE
