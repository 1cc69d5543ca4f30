/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mmio: loads 32 bits from an address without memory, stores the value + 1 beside it.
 *
 * Phases: 1 before and at the load (0xd0000); 2 after it, before and at the store (0xd0004).
 * Data out: data[0] the value loaded; data[1] + 1 once instructions after the load ran;
 *           data[2] + 1 once instructions after the store ran.
 * Registers: eax/rax is 0 before the load and the value after it; the next instruction stores it to
 *            data[0]. At the store eax is the value + 1. ebx/rbx holds the window's address (real
 *            mode: FS 0xd000 and bx 0, for 16-bit addresses end below it).
 * Leaves: when the stop word is set, after a full turn.
 */
#include "program.inc"

#if defined(MODE_REAL)
#define WINDOW(offset)	%fs:offset(%bx)
#elif defined(MODE_PROTECTED)
#define WINDOW(offset)	offset(%ebx)
#else
#define WINDOW(offset)	offset(%rbx)
#endif

start:
#if defined(MODE_REAL)
	movw	$(MMIO_BASE >> 4), %ax
	movw	%ax, %fs
	xorl	%ebx, %ebx
#else
	movl	$MMIO_BASE, %ebx
#endif
turn:
	ENTER_PHASE 1
	xorl	%eax, %eax
	movl	WINDOW(0), %eax
	mov	AX, DATA_WORD(0)
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	incl	%eax
	movl	%eax, WINDOW(4)
	COUNT	DATA_WORD(2)
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
