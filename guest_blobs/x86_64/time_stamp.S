/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * time_stamp: reads the time-stamp counter over and over, and sees whether it ever goes back.
 *
 * Phases: 1 in the loop.
 * Data in:  data[0] 1: says so on PORT_SYNC after each reading; 0: never.
 * Data out: data[1] low and data[2] high 32 bits of the last reading; data[3] readings below the one
 *           before.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

start:
	ENTER_PHASE 1
	xorl	%esi, %esi		/* the reading before: edi:esi */
	xorl	%edi, %edi
turn:
	rdtsc
	movl	%eax, DATA_WORD(1)
	movl	%edx, DATA_WORD(2)
	movl	%eax, %ebx
	movl	%edx, %ecx
	subl	%esi, %ebx
	sbbl	%edi, %ecx
	jnc	forward
	COUNT	DATA_WORD(3)
forward:
	movl	%eax, %esi
	movl	%edx, %edi
	BEAT
	cmpl	$0, DATA_WORD(0)
	je	silent
	outb	%al, $PORT_SYNC
silent:
	POLL_STOP
	jmp	turn

	LEAVE
