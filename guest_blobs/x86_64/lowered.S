/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lowered: raises CR8, tells the host, and lowers it for a moment, in which an interrupt that waited
 * for it comes in; raised again, it keeps out one that did not. Long mode, where CR8 is a register.
 *
 * Phases: 1 the task priority is the highest, at the out (PORT_SYNC); 2 behind it; 3 the priority was
 *         low until an interrupt came, or for some turns.
 * Data in:  data[0] 1: a local APIC in x2APIC mode is there (see halt); data[5] the most turns with
 *           a low priority, each of two instructions.
 * Data out: ticks interrupts of vector 0x20.
 * Leaves: when the stop word is set, after a turn.
 */
#include "program.inc"

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_INTERRUPT, tick
	ENABLE_APIC_IF_PRESENT
	movl	$15, %ebx
	xorl	%ebp, %ebp
	sti
turn:
	mov	%rbx, %cr8
	ENTER_PHASE 1
	outb	%al, $PORT_SYNC
	ENTER_PHASE 2
	mov	%rbp, %cr8
	mov	DATA_WORD(5), CX
low:
	cmpl	$0, TICKS
	loope	low
	mov	%rbx, %cr8
	ENTER_PHASE 3
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE

	TICK_HANDLER tick, 0

	TABLES
