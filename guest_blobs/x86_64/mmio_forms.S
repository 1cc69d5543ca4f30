/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mmio_forms: one instruction of the host's choice, which stores to memory, or loads and stores; then
 * a sync. Not in real mode.
 *
 * Phases: 1 before and at the instruction; 2 after it, before and at the out (PORT_SYNC).
 * Data in:  data[3] the instruction: the numbers of FORM below; data[4] where it stores (di);
 *           data[5] where it loads from, if it has two places (si); data[6] and data[7] the value: 128
 *           bits for movups, else the low half is in ax and bp; data[8] the count of a rep (cx).
 * Data out: data[1] + 1 once instructions after it ran; data[9] what the call
 *           pushes; data[10] the stack pointer as the instruction left it.
 * Registers: at the out the others are as the instruction left them. di is where its datum
 *            begins: the instructions that push have the stack end there. The pops and the push of a
 *            memory operand have the stack at si, or at STACK_TOP.
 * Leaves: when the stop word is set, after a turn.
 */
#include "program.inc"

#if defined(MODE_LONG)
#define WIDTH	8
#define BP	%rbp
#define MOVS	movsq
#define STOS	stosq
#else
#define WIDTH	4
#define BP	%ebp
#define MOVS	movsl
#define STOS	stosl
#endif
#define CR4_OSFXSR 0x200

/* The instructions up to END_FORM, if this is the number that the host gave. */
.macro FORM number
	cmpl	$\number, DATA_WORD(3)
	jne	.Lnot_\number
	.macro END_FORM
	jmp	done
.Lnot_\number:
	.purgem END_FORM
	.endm
.endm

/* The stack pointer where a push stores at di. */
.macro STACK_ABOVE_DATUM
	lea	WIDTH(DI), SP
.endm

start:
	mov	%cr4, AX
	or	$CR4_OSFXSR, AX
	mov	AX, %cr4
	fninit
	movl	$called, DATA_WORD(9)
turn:
	ENTER_PHASE 1
	movups	DATA_WORD(6), %xmm0
	mov	DATA_WORD(4), DI
	mov	DATA_WORD(5), SI
	mov	DATA_WORD(6), AX
	mov	DATA_WORD(8), CX
	mov	AX, BP
	mov	$0, BX
	cld

	/* ---- stores */
	FORM 0
	movw	%ax, (DI)
	END_FORM
	FORM 1
	movl	%eax, (DI)
	END_FORM
	FORM 2
	mov	AX, (DI)
	END_FORM
	FORM 3
	movl	$0x13579bdf, (DI)
	END_FORM
	FORM 4
	movw	%ds, (DI)
	END_FORM
	FORM 5
	STACK_ABOVE_DATUM
	push	AX
	END_FORM
	FORM 6
	STACK_ABOVE_DATUM
	enter	$16, $0
	END_FORM
	FORM 7
	STACK_ABOVE_DATUM
	call	called
called:
	END_FORM
	FORM 8
	MOVS
	END_FORM
	FORM 9
	STOS
	END_FORM
	FORM 10
	movups	%xmm0, (DI)
	END_FORM
	FORM 11
	fnstcw	(DI)
	END_FORM
	FORM 12
	rep MOVS
	END_FORM
	FORM 13
	rep STOS
	END_FORM

	/* ---- loads and stores */
	FORM 20
	add	AX, (DI)
	END_FORM
	FORM 21
	incl	(DI)
	END_FORM
	FORM 22
	xchg	AX, (DI)
	END_FORM
	FORM 23
	mov	SI, BX			/* the new value; ax is what is expected */
	test	SP, SP			/* no zero flag before it */
	cmpxchg	BX, (DI)
	END_FORM
	FORM 24
	xadd	AX, (DI)
	END_FORM
	FORM 25
	lock orb %al, (DI)
	END_FORM
	FORM 26
	mov	$STACK_TOP, SP
	push	(SI)
	END_FORM
	FORM 27
	mov	SI, SP
	pop	(DI)
	END_FORM
done:
	mov	SP, DATA_WORD(10)
	mov	$STACK_TOP, SP
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	outb	%al, $PORT_SYNC
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
