/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * string_io: one rep outsb and one rep insb, long enough that KVM needs more than one exit for
 * each. It reads at most 1,024 bytes ahead for rep insb; a rep outsb may leave the guest for each
 * byte.
 *
 * Phases: 1 at the rep outsb (PORT_STRING_OUT); 2 at the rep insb (PORT_STRING_IN); 3 both done.
 * Data in: data[0] bytes, below 65,536; data[1] address to send from; data[2] address to read to.
 *          Real mode reaches them by a segment: multiples of 16, below 1 MiB.
 * Registers: cx/ecx/rcx the bytes left; si/esi/rsi and di/edi/rdi the addresses (real mode: the
 *            offset, from 0).
 * Heartbeat: 1 at the end.
 * Leaves: at the end (DONE), or between the two when the stop word is set. An instruction with rep
 *         polls nothing, but each has an end.
 */
#include "program.inc"

start:
	ENTER_PHASE 1
	cld
	mov	DATA_WORD(0), CX
#if defined(MODE_REAL)
	movl	DATA_WORD(1), %eax
	shrl	$4, %eax
	xorl	%esi, %esi
	movw	%ax, %ds		/* the mailbox is out of reach until DS is 0 again */
#else
	mov	DATA_WORD(1), SI
#endif
	movw	$PORT_STRING_OUT, %dx
	rep outsb
#if defined(MODE_REAL)
	xorw	%ax, %ax
	movw	%ax, %ds
#endif

	ENTER_PHASE 2
	POLL_STOP
	mov	DATA_WORD(0), CX
#if defined(MODE_REAL)
	movl	DATA_WORD(2), %eax
	shrl	$4, %eax
	xorl	%edi, %edi
	movw	%ax, %es
#else
	mov	DATA_WORD(2), DI
#endif
	movw	$PORT_STRING_IN, %dx
	rep insb
#if defined(MODE_REAL)
	xorw	%ax, %ax
	movw	%ax, %es
#endif

	ENTER_PHASE 3
	BEAT
	jmp	leave_done

	LEAVE
