/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * port_widths: reads 1, 2 or 4 bytes from a port into a register that has bits above them.
 *
 * Phases: 1 before and at the in (PORT_IN); 2 after it, before and at the out.
 * Data in:  data[3] the bytes: 1, 2 or 4; data[6] what eax/rax holds before; data[4] the port of
 *           the out.
 * Data out: data[0] eax/rax after the in (long mode: all 64 bits); data[1] + 1 once instructions
 *           after the in ran.
 * Leaves: when the stop word is set, after a turn.
 */
#include "program.inc"

start:
turn:
	ENTER_PHASE 1
	mov	DATA_WORD(6), AX
	cmpl	$1, DATA_WORD(3)
	je	one
	cmpl	$2, DATA_WORD(3)
	je	two
	inl	$PORT_IN, %eax
	jmp	done
one:
	inb	$PORT_IN, %al
	jmp	done
two:
	inw	$PORT_IN, %ax
done:
	mov	AX, DATA_WORD(0)
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	mov	DATA_WORD(4), DX
	outb	%al, %dx
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
