/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * second_processor_ap: what the second processor runs after a SIPI with vector 2. Real mode only.
 * It starts with CS 0x0200 (base 0x2000) and IP 0; the program is linked at 0x2000 but each of its
 * jumps is relative, so either view of its addresses works.
 *
 * Data out: data[0] its own heartbeat (32 bits).
 * Leaves: when the stop word is set, the first processor's as well; then it stays halted.
 */
#include "program.inc"

start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
turn:
	incl	DATA_WORD(0)
	POLL_STOP
	jmp	turn

	LEAVE
