/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * port_io: reads a byte from a port, answers with that byte + 1 on another.
 *
 * Phases: 1 before and at the in (PORT_IN); 2 after it, before and at the out (PORT_OUT).
 * Data out: data[0] the byte read; data[1] + 1 once instructions after the in ran;
 *           data[2] + 1 once instructions after the out ran.
 * Registers: eax/rax is 0 before the in, so that afterwards all of it is the byte. The instruction
 *            after the in stores it. At the out eax/rax is the byte + 1.
 * Leaves: when the stop word is set, after a full turn.
 */
#include "program.inc"

start:
turn:
	ENTER_PHASE 1
	xorl	%eax, %eax
	inb	$PORT_IN, %al
	mov	AX, DATA_WORD(0)
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	incl	%eax
	outb	%al, $PORT_OUT
	COUNT	DATA_WORD(2)
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
