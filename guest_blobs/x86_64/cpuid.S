/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cpuid: reads a leaf of CPUID, over and over.
 *
 * Phases: 1 in the loop.
 * Data in:  data[0] the leaf (subleaf 0).
 * Data out: data[1] eax of the leaf.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

start:
	ENTER_PHASE 1
turn:
	movl	DATA_WORD(0), %eax
	xorl	%ecx, %ecx
	cpuid
	mov	AX, DATA_WORD(1)
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
