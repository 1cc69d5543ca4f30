/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * second_processor: starts another processor by PSCI, and counts meanwhile. The other one runs
 * second_processor_ap.
 *
 * Phases: 1 waits for data[3] to be 0; 2 about to start it; 3 counting.
 * Data in:  data[3] 0: start it at once; 1: do nothing until the host writes 0.
 *           data[4] the processor's affinity (MPIDR).
 * Heartbeat: counts in phases 1 and 3.
 * Data out: data[1] PSCI's answer, 32 bits; data[0] belongs to the other processor.
 * Leaves: when the stop word is set (both processors do).
 */
#include "program.inc"

#define PSCI_CPU_ON	0xc4000003

	PROGRAM_BEGINS
start:
	SET_UP
	ENTER_PHASE 1
wait:
	BEAT
	POLL_STOP
	ldr	w9, WORD(DATA_WORD(3))
	cbnz	w9, wait
	ENTER_PHASE 2
	TO_KERNEL
	LOAD	x0, PSCI_CPU_ON
	ldr	x1, WORD(DATA_WORD(4))
	mov	x2, #SECOND_PROGRAM
	mov	x3, #MAILBOX
	hvc	#0
	TO_USER
	str	w0, WORD(DATA_WORD(1))
	ENTER_PHASE 3
turn:
	BEAT
	POLL_STOP
	b	turn

	LEAVE
