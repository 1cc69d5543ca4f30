/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * window: counts with interrupts off until the host opens them, then counts with interrupts on.
 *
 * Phases: 1 interrupts off; 2 about to set IF by sti; 3 interrupts on.
 * Data in:  data[4] 0: off; 1: on. Read each turn, so the host opens and closes as it likes.
 * Data out: ticks interrupts of vector 0x20, which the host injects (KVM_INTERRUPT): no EOI.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_INTERRUPT, tick
closed:
	cli
	ENTER_PHASE 1
wait:
	BEAT
	POLL_STOP
	cmpl	$0, DATA_WORD(4)
	je	wait
	ENTER_PHASE 2
	sti
	nop				/* interrupts are on after the instruction that follows sti */
	ENTER_PHASE 3
open:
	BEAT
	POLL_STOP
	cmpl	$0, DATA_WORD(4)
	jne	open
	jmp	closed

	LEAVE

	COUNTING_HANDLER tick, TICKS

	TABLES
