/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * msr: reads an MSR, writes its value + 1 to it. Where the MSR is filtered, each leaves the guest.
 *
 * Phases: 1 before and at the rdmsr; 2 after it, before and at the wrmsr.
 * Data in:  data[5] the MSR's index.
 * Data out: data[0] low and data[6] high 32 bits read (0 after a #GP);
 *           data[1] + 1 once instructions after the rdmsr ran;
 *           data[2] + 1 once instructions after the wrmsr ran; data[4] #GP taken.
 * Registers: eax and edx are 0 before the rdmsr; the next instruction stores eax to data[0]. At the
 *            wrmsr edx:eax is high:(low + 1), low wrapping at 32 bits.
 * A host that answers with an error makes a #GP pending; its handler counts it and skips the
 * instruction. data[4] is counted first, so that data[1] or data[2] tells whether it returned.
 * Leaves: when the stop word is set, after a full turn.
 */
#include "program.inc"

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_GENERAL_PROTECTION, general_protection
turn:
	ENTER_PHASE 1
	movl	DATA_WORD(5), %ecx
	xorl	%eax, %eax
	xorl	%edx, %edx
	rdmsr
	mov	AX, DATA_WORD(0)
	mov	DX, DATA_WORD(6)
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	incl	%eax
	wrmsr
	COUNT	DATA_WORD(2)
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE

/* rdmsr and wrmsr are 2 bytes each. Real mode pushes no error code; the other modes do, and nothing
 * but the handler takes it off. */
general_protection:
	COUNT	DATA_WORD(4)
#if defined(MODE_PROTECTED)
	addl	$4, %esp
#elif defined(MODE_LONG)
	addq	$8, %rsp
#endif
	SKIP_INSTRUCTION 2
	INTERRUPT_RETURN

	TABLES
