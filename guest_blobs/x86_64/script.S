/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * script: does the steps that the host has written, one after the other, and keeps a log of what came
 * of each. 64-bit mode only.
 *
 * A step is 16 bytes: its number in STEPS below, 32 bits; an operand, 32 bits; a value, 64 bits. A log
 * entry is 16 bytes: which step of the script, from 0, 32 bits; its number in STEPS, 32 bits; the
 * result, 64 bits, which the source of each step says: else 0.
 *
 * Phases: 1 in the script.
 * Data in:  data[0] 1: a local APIC in x2APIC mode is there (see halt); data[2] ends the steps `wait` and
 *           `sleep` of an operand that is no greater.
 * Data out: data[1] steps done, over all scripts; data[3] see END_HALT; ticks interrupts of vector 0x20;
 *           data[4] NMIs.
 * Registers: r12 the step, r13 the log entry, r14 the accumulator, r15 steps done of this script; r11
 *            where to go on after an exception, 0 if none may come; r10 where the traps of a traced
 *            step begin, else 0; r8, r9, rbp, rsi and rdi are places.
 * Leaves: when the stop word is set; by the step `end`, after which the script begins anew; with
 *         DONE_UNEXPECTED for a step that it does not know, and an exception where none may come.
 */
#include "program.inc"

#define LOG		0x50000
#define SCRATCH		0x60000		/* four pages that only steps use */
#define SCRIPT		0x68000
#define VECTOR		0x64000		/* on the way to and from a vector register */
#define STRING		0x6c000		/* what the string steps read and write */
#define SAVED		0x64010		/* a vector register that a step borrows */
#define UNMAPPED	0x40000000	/* behind what the page tables map */
#define TRAP_FLAG	0x100
#define BEGUN		0x100		/* in a traced step's result: the first trap came where it must */
#define CR4_OSFXSR	0x200
#define RELEASED	DATA_WORD(2)

	.macro STEP name
	jmp	next
step_\name:
	.endm

start:
	SET_UP_TABLES
	INSTALL_HANDLER 1, trap
	INSTALL_HANDLER VECTOR_NMI, nmi
	INSTALL_HANDLER VECTOR_BREAKPOINT, breakpoint
	INSTALL_HANDLER VECTOR_INVALID_OPCODE, invalid_opcode
	INSTALL_HANDLER VECTOR_GENERAL_PROTECTION, general_protection
	INSTALL_HANDLER 14, page_fault
	INSTALL_HANDLER VECTOR_INTERRUPT, tick
	ENABLE_APIC_IF_PRESENT
	mov	%cr4, %rax
	or	$CR4_OSFXSR, %rax
	mov	%rax, %cr4
	cld
	ENTER_PHASE 1
	movl	$SCRIPT, %r12d
	movl	$LOG, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	xorl	%r11d, %r11d
	xorl	%r10d, %r10d
turn:
	POLL_STOP
	movl	(%r12), %eax
	movl	4(%r12), %ecx
	movq	8(%r12), %rbx
	xorl	%edx, %edx
	cmpl	$((steps_end - steps) / 8), %eax
	jae	unexpected
	jmp	*steps(, %rax, 8)

/* The step is done; its result is in rdx. */
next:
	movl	%r15d, (%r13)
	movl	(%r12), %eax
	movl	%eax, 4(%r13)
	movq	%rdx, 8(%r13)
	incl	%r15d
	addq	$16, %r12
	addq	$16, %r13
	COUNT	DATA_WORD(1)
	BEAT
	jmp	turn

	.balign	8, 0xcc
steps:
	.irp	name, end, compute, store, load, exchange_add, port_out, port_in, mmio_write, mmio_read
	.quad	step_\name
	.endr
	.irp	name, mmio_add, mmio_move, string_out, string_in, msr_write, msr_read, halt, put, get
	.quad	step_\name
	.endr
	.irp	name, flags, interrupts_on, interrupts_off, undefined, protection, page_fault, breakpoint
	.quad	step_\name
	.endr
	.irp	name, patch, cpuid, wait, sleep, self_interrupt, wide_write, wide_read, traced_in, traced_read
	.quad	step_\name
	.endr
steps_end:

/* Places by number, to be put and got. */
.macro PLACES_OF verb
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.quad	\verb\()_xmm\number
	.endr
	.irp	name, dr0, dr1, dr2, dr3, cr2, rbp, rsi, rdi, r8, r9
	.quad	\verb\()_\name
	.endr
	.irp	name, lstar, cstar, kernel_gs_base, fs_base, gs_base, sysenter_eip
	.quad	\verb\()_\name
	.endr
.endm

	.balign	8, 0xcc
puts:
	PLACES_OF put
puts_end:
gets:
	PLACES_OF get

/* ---- memory and registers. The operand of the first three is an offset in SCRATCH. */

	/* accumulator * an odd number + value: the accumulator as it then is */
	STEP	compute
	movabsq	$6364136223846793005, %rax
	imulq	%rax, %r14
	addq	%rbx, %r14
	movq	%r14, %rdx

	/* value to memory */
	STEP	store
	movq	%rbx, SCRATCH(%rcx)

	/* memory */
	STEP	load
	movq	SCRATCH(%rcx), %rdx

	/* memory + value: memory as it was */
	STEP	exchange_add
	movq	%rbx, %rdx
	lock xaddq %rdx, SCRATCH(%rcx)

	/* value to the place that the operand names */
	STEP	put
	cmpl	$((puts_end - puts) / 8), %ecx
	jae	unexpected
	jmp	*puts(, %rcx, 8)

	/* what is in the place */
	STEP	get
	cmpl	$((puts_end - puts) / 8), %ecx
	jae	unexpected
	jmp	*gets(, %rcx, 8)

	/* the flags that a program can change, DF and TF apart */
	STEP	flags
	pushfq
	popq	%rdx
	andl	$0x200, %edx

	STEP	interrupts_on
	sti
	nop

	STEP	interrupts_off
	cli

	/* a number written into the next instruction: what this then loads */
	STEP	patch
	movl	%ebx, patched + 1
	jmp	patched
	.balign	64, 0x90
patched:
	movl	$0, %edx

	/* leaf 0x40000000: its signature's first word */
	STEP	cpuid
	movl	$0x40000000, %eax
	xorl	%ecx, %ecx
	cpuid
	movl	%ebx, %edx

	/* spins until data[2] is at least the operand */
	STEP	wait
waiting:
	BEAT
	POLL_STOP
	cmpl	%ecx, RELEASED
	jb	waiting

	/* the same, halted and for interrupts, one of which has to come with that; the flag is as before */
	STEP	sleep
	pushfq
sleeping:
	BEAT
	POLL_STOP
	cli
	cmpl	%ecx, RELEASED
	jae	awake
	sti
	hlt
	jmp	sleeping
awake:
	popfq

/* ---- what leaves the guest */

	/* by a port, in as many bytes as the operand says: 1, 2 or 4 */
	STEP	port_out
	movq	%rbx, %rax
	cmpl	$2, %ecx
	je	word_out
	ja	long_out
	outb	%al, $PORT_OUT
	jmp	next
word_out:
	outw	%ax, $PORT_OUT
	jmp	next
long_out:
	outl	%eax, $PORT_OUT

	/* rax, into which so many bytes came; it was the value before */
	STEP	port_in
	movq	%rbx, %rax
	cmpl	$2, %ecx
	je	word_in
	ja	long_in
	inb	$PORT_IN, %al
	jmp	got_in
word_in:
	inw	$PORT_IN, %ax
	jmp	got_in
long_in:
	inl	$PORT_IN, %eax
got_in:
	movq	%rax, %rdx

	/* MMIO; the operand is an offset from MMIO_BASE, and from bit 16 on the number of bytes */
	STEP	mmio_write
	call	split
	cmpl	$4, %eax
	ja	quad_write
	je	long_write
	cmpl	$2, %eax
	je	word_write
	movb	%bl, MMIO_BASE(%rcx)
	jmp	next
word_write:
	movw	%bx, MMIO_BASE(%rcx)
	jmp	next
long_write:
	movl	%ebx, MMIO_BASE(%rcx)
	jmp	next
quad_write:
	movq	%rbx, MMIO_BASE(%rcx)

	/* rdx, into which so many bytes came; it was the value before */
	STEP	mmio_read
	call	split
	movq	%rbx, %rdx
	cmpl	$4, %eax
	ja	quad_read
	je	long_read
	cmpl	$2, %eax
	je	word_read
	movb	MMIO_BASE(%rcx), %dl
	jmp	next
word_read:
	movw	MMIO_BASE(%rcx), %dx
	jmp	next
long_read:
	movl	MMIO_BASE(%rcx), %edx
	jmp	next
quad_read:
	movq	MMIO_BASE(%rcx), %rdx

	/* 64 bits of MMIO + value: the flags CF and ZF that come of it */
	STEP	mmio_add
	addq	%rbx, MMIO_BASE(%rcx)
	pushfq
	popq	%rdx
	andl	$0x41, %edx

	/* 64 bits from MMIO to MMIO 0x800 bytes above; rsi and rdi are as before */
	STEP	mmio_move
	movq	%rsi, %rax
	movq	%rdi, %rbx
	leaq	MMIO_BASE(%rcx), %rsi
	leaq	0x800(%rsi), %rdi
	movsq
	movq	%rax, %rsi
	movq	%rbx, %rdi

	/* so many bytes from STRING to a port: what is then left in rcx */
	STEP	string_out
	movq	%rsi, %rbx
	movl	$STRING, %esi
	movw	$PORT_STRING_OUT, %dx
	rep outsb
	movq	%rbx, %rsi
	movq	%rcx, %rdx

	/* so many bytes from a port to STRING: the sum of its 64-bit words then, and what is left in rcx */
	STEP	string_in
	movq	%rdi, %rbx
	movl	$STRING, %edi
	movw	$PORT_STRING_IN, %dx
	rep insb
	movq	%rbx, %rdi
	movq	%rcx, %rdx
	.irp	place, 0, 8, 16, 24, 32, 40, 48, 56
	addq	STRING + \place, %rdx
	.endr

	/* value to the MSR that the operand names: 0, or what the handler of #GP tells */
	STEP	msr_write
	movl	$next, %r11d
	movl	%ebx, %eax
	shrq	$32, %rbx
	movl	%ebx, %edx
	wrmsr
	xorl	%edx, %edx
	xorl	%r11d, %r11d

	/* what the MSR holds, or what the handler of #GP tells */
	STEP	msr_read
	movl	$next, %r11d
	rdmsr
	xorl	%r11d, %r11d
	shlq	$32, %rdx
	orq	%rax, %rdx

	/* with interrupts on; afterwards the flag is as before */
	STEP	halt
	pushfq
	HALT	halted
	popfq

/* ---- exceptions: vector, error code at bit 8, low half of CR2 at bit 32 if it is a page fault */

	STEP	undefined
	movl	$next, %r11d
	ud2

	/* a selector that is in no table */
	STEP	protection
	movl	$next, %r11d
	movl	$0x1230, %eax
	movw	%ax, %ds

	/* a store behind what is mapped; the operand is an offset there */
	STEP	page_fault
	movl	$next, %r11d
	movl	$UNMAPPED, %eax
	addq	%rcx, %rax
	movq	%rbx, (%rax)

	STEP	breakpoint
	movl	$next, %r11d
	int3

/* ---- the local APIC */

	/* an interrupt to itself */
	STEP	self_interrupt
	movl	$MSR_X2APIC_ICR, %ecx
	movl	$(0x40000 | VECTOR_INTERRUPT), %eax
	xorl	%edx, %edx
	wrmsr

	STEP	end
	movb	$DONE, %al
	outb	%al, $PORT_DONE
	jmp	start

#include "script_places.inc"
#include "script_wide_and_traced.inc"

/* The operand of an MMIO step: bytes to eax, the offset stays in ecx. */
split:
	movl	%ecx, %eax
	shrl	$16, %eax
	andl	$0xffff, %ecx
	ret

	LEAVE

unexpected:
	movb	$DONE_UNEXPECTED, %al
	jmp	leave

/* ---- handlers: an exception's frame gets r11 as its pc, and rdx is the result */

trap:
	testq	%r10, %r10
	jz	unexpected
	cmpq	%r10, (%rsp)
	jne	1f
	orl	$BEGUN, %edx
1:	incl	%edx
	iretq
page_fault:
	popq	%rax
	shll	$8, %eax
	movq	%cr2, %rdx
	shlq	$32, %rdx
	orq	%rax, %rdx
	orq	$14, %rdx
	jmp	caught
general_protection:
	popq	%rdx
	shll	$8, %edx
	orl	$VECTOR_GENERAL_PROTECTION, %edx
	jmp	caught
invalid_opcode:
	movl	$VECTOR_INVALID_OPCODE, %edx
	jmp	caught
breakpoint:
	movl	$VECTOR_BREAKPOINT, %edx
caught:
	testq	%r11, %r11
	jz	unexpected
	movq	%r11, (%rsp)
	xorl	%r11d, %r11d
	iretq

	TICK_HANDLER tick, 0, halted
	COUNTING_HANDLER nmi, DATA_WORD(4)

	TABLES
