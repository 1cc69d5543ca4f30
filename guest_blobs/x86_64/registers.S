/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * registers: looks at whatever the processor keeps for it, once, and then again and again, and tells
 * what has become different. The host puts patterns there before the first run.
 *
 * Phases: 1 the first look; 2 in the loop.
 * Data in:  data[0] what XSAVE is to store, in bits of XCR0 (CR4 and XCR0 allow it); 0: FXSAVE, and
 *           always in the other modes, whose instructions a KVM may interpret: it knows no XSAVE.
 *           MSR_LIST: numbers of MSRs, 32 bits each; 0 ends the list.
 * Data out: data[1] turns with a difference; of the first one data[2] the place in a look, data[3]
 *           what the first look has there, data[4] what was found; 64 bits, or 32.
 *           FIRST_LOOK and NEXT_LOOK: two looks, each with the area of XSAVE, at LOOK_WORDS the
 *           words in the order below, and at LOOK_MSRS the MSRs in the list's order.
 * Registers: rbp and r8 to r15 are the host's.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

/* Behind the program itself, where real mode reaches. */
#define FIRST_LOOK	0xa000
#define NEXT_LOOK	0xc400
#define MSR_LIST	0xe800
#define LOOK_WORDS	0x2000
#define LOOK_MSRS	0x2100
#define LOOK_SIZE	0x2400

#if defined(MODE_LONG)
#define CMPS	cmpsq
#define WIDTH	8
#define BP	%rbp
#else
#define CMPS	cmpsl
#define WIDTH	4
#define BP	%ebp
#endif

.macro WORD number, source
	mov	\source, AX
	mov	AX, LOOK_WORDS + 8 * \number(BX)
.endm

start:
	ENTER_PHASE 1
	movl	$FIRST_LOOK, %ebx
	call	look
	ENTER_PHASE 2
turn:
	movl	$NEXT_LOOK, %ebx
	call	look
	movl	$FIRST_LOOK, %esi
	movl	$NEXT_LOOK, %edi
	movl	$(LOOK_SIZE / WIDTH), %ecx
	cld
	repe CMPS
	je	same
	cmpl	$0, DATA_WORD(1)
	jne	told
	mov	-WIDTH(SI), AX
	mov	AX, DATA_WORD(3)
	mov	-WIDTH(DI), AX
	mov	AX, DATA_WORD(4)
	subl	$(NEXT_LOOK + WIDTH), %edi
	mov	DI, DATA_WORD(2)
told:
	COUNT	DATA_WORD(1)
same:
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE

/* Stores all at bx. Changes ax, cx, dx, si and di. */
look:
#if defined(MODE_LONG)
	movl	DATA_WORD(0), %eax
	xorl	%edx, %edx
	testl	%eax, %eax
	jz	legacy
	xsave64	(%rbx)
	jmp	words
legacy:
	fxsave64 (%rbx)
words:
#else
	fxsave	(BX)
#endif
	WORD	0, %dr0
	WORD	1, %dr1
	WORD	2, %dr2
	WORD	3, %dr3
	WORD	4, %dr6
	WORD	5, %dr7
	WORD	6, %cr0
	WORD	7, %cr2
	WORD	8, %cr3
	WORD	9, %cr4
	WORD	10, %ds
	WORD	11, %es
	WORD	12, %fs
	WORD	13, %gs
	WORD	14, %ss
	WORD	15, %cs
	WORD	16, SP
	WORD	17, BP
#if defined(MODE_LONG)
	WORD	18, %r8
	WORD	19, %r9
	WORD	20, %r10
	WORD	21, %r11
	WORD	22, %r12
	WORD	23, %r13
	WORD	24, %r14
	WORD	25, %r15
#endif
	movl	$MSR_LIST, %esi
	lea	LOOK_MSRS(BX), DI
msr:
	movl	(SI), %ecx
	testl	%ecx, %ecx
	jz	looked
	rdmsr
	movl	%eax, (DI)
	movl	%edx, 4(DI)
	addl	$4, %esi
	addl	$8, %edi
	jmp	msr
looked:
	ret
