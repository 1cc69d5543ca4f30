/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mmio_cross: a load and a store that cross from one page to the next, so that KVM makes two
 * fragments of each and leaves the guest twice for one instruction.
 *
 * The datum: real and protected mode 32 bits at 0xd0ffe (2 + 2 bytes), long mode 64 bits at 0xd0ffc
 * (4 + 4 bytes).
 *
 * Phases: 1 before and at the load; 2 after it, before and at the store.
 * Data out: data[0] the datum loaded (long mode: all 64 bits); data[1] + 1 once instructions after
 *           the load ran; data[2] + 1 once instructions after the store ran.
 * Registers: eax/rax is 0 before the load and the datum after it; at the store it is the datum + 1.
 *            ebx/rbx holds the datum's address (real mode: FS 0xd000 and bx its offset).
 * Leaves: when the stop word is set, after a full turn.
 */
#include "program.inc"

#if defined(MODE_REAL)
#define DATUM	%fs:(%bx)
#elif defined(MODE_PROTECTED)
#define DATUM	(%ebx)
#else
#define DATUM	(%rbx)
#endif

start:
#if defined(MODE_REAL)
	movw	$(MMIO_BASE >> 4), %ax
	movw	%ax, %fs
	movl	$0xffe, %ebx
#elif defined(MODE_PROTECTED)
	movl	$(MMIO_BASE + 0xffe), %ebx
#else
	movl	$(MMIO_BASE + 0xffc), %ebx
#endif
turn:
	ENTER_PHASE 1
	xorl	%eax, %eax
	mov	DATUM, AX
	mov	AX, DATA_WORD(0)
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	inc	AX
	mov	AX, DATUM
	COUNT	DATA_WORD(2)
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
