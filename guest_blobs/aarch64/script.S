/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * script: does the steps that the host has written, one after the other, and keeps a log of what came
 * of each. EL1 with its MMU on only.
 *
 * A step is 16 bytes: its number in STEPS below, 32 bits; an operand, 32 bits; a value, 64 bits. A log
 * entry is 16 bytes: which step of the script, from 0, 32 bits; its number in STEPS, 32 bits; the
 * result, 64 bits, which the source of each step says: else 0.
 *
 * Phases: 1 in the script.
 * Data in:  data[0] not 0: there is a GIC; data[2] ends the steps `wait` and `sleep` of an operand that is
 *           no greater.
 * Data out: data[1] steps done, over all scripts; ticks interrupts.
 * Registers: x0 what a step loads or is told; x1 its operand, x2 its value, x3 its result; x20 the step,
 *            x21 the log entry, x22 the accumulator, x23 steps done of this script; x24 where to go on
 *            after an exception, 0 if none may come; x13 to x18, x26 and x29 are places.
 * Leaves: when the stop word is set; by the step `end`, after which the script begins anew; with
 *         DONE_UNEXPECTED for a step that it does not know, and an exception where none may come.
 */
#include "program.inc"

#define LOG		0x50000
#define SCRATCH		0x60000		/* four pages that only steps use */
#define SCRIPT		0x68000
#define UNMAPPED	0x40000000	/* behind what the page tables map */
#define RELEASED	DATA_WORD(2)
#define INTERRUPT_MASK	2		/* of daifset and daifclr */
#define DAIF_INTERRUPTS	0x80
#define STORED		(1 << 6)	/* of a data abort's ESR_EL1: WnR */

	.macro STEP name
	b	next
step_\name:
	.endm

	/* A table of distances, and a jump to the entry that w0 names. Changes x9 and x10. */
	.macro JUMP_BY table
	adr	x9, \table
	ldrsw	x10, [x9, x0, lsl #2]
	add	x9, x9, x10
	br	x9
	.endm
	.macro ENTRIES table, prefix, names:vararg
	.irp	name, \names
	.word	\prefix\name - \table
	.endr
	.endm

	PROGRAM_BEGINS synchronous=exception
start:
	SET_UP
	ENTER_PHASE 1
	LOAD	x20, SCRIPT
	LOAD	x21, LOG
	mov	x22, #0
	mov	x23, #0
	mov	x24, #0
turn:
	POLL_STOP
	ldp	w0, w1, [x20]
	ldr	x2, [x20, #8]
	mov	x3, #0
	cmp	w0, #((steps_end - steps) / 4)
	b.hs	unexpected
	JUMP_BY	steps

/* The step is done; its result is in x3. */
next:
	ldr	w9, [x20], #16
	stp	w23, w9, [x21]
	str	x3, [x21, #8]
	add	x21, x21, #16
	add	x23, x23, #1
	COUNT	DATA_WORD(1)
	BEAT
	b	turn

	.balign	4
steps:
	ENTRIES	steps, step_, end, compute, store, load, exchange_add, mmio_write, mmio_read
	ENTRIES	steps, step_, mmio_read_signed, mmio_read_half, call, put, get, flags
	ENTRIES	steps, step_, interrupts_on, interrupts_off, undefined, supervisor_call, breakpoint
	ENTRIES	steps, step_, page_fault, wait, sleep
steps_end:

/* Places by number, to be put and got. */
.macro PLACES_OF table, verb
	ENTRIES	\table, \verb\()_v, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	ENTRIES	\table, \verb\()_v, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ENTRIES	\table, \verb\()_, x13, x14, x15, x16, x17, x18, x26, x29
	ENTRIES	\table, \verb\()_, tpidr_el0, tpidrro_el0, tpidr_el1, contextidr_el1
	ENTRIES	\table, \verb\()_, dbgbvr0_el1, dbgbvr1_el1, fpsr
.endm
puts:
	PLACES_OF puts, put
puts_end:
gets:
	PLACES_OF gets, get

/* ---- memory and registers. The operand of the first three is an offset in SCRATCH. */

	/* accumulator * an odd number + value: the accumulator as it then is */
	STEP	compute
	ldr	x4, factor
	madd	x22, x22, x4, x2
	mov	x3, x22

	/* value to memory */
	STEP	store
	LOAD	x4, SCRATCH
	str	x2, [x4, x1]

	/* memory */
	STEP	load
	LOAD	x4, SCRATCH
	ldr	x3, [x4, x1]

	/* memory + value: memory as it was */
	STEP	exchange_add
	LOAD	x4, SCRATCH
	add	x4, x4, x1
again:
	ldaxr	x3, [x4]
	add	x5, x3, x2
	stlxr	w6, x5, [x4]
	cbnz	w6, again

	/* value to the place that the operand names */
	STEP	put
	mov	w0, w1
	cmp	w0, #((puts_end - puts) / 4)
	b.hs	unexpected
	JUMP_BY	puts

	/* what is in the place */
	STEP	get
	mov	w0, w1
	cmp	w0, #((puts_end - puts) / 4)
	b.hs	unexpected
	JUMP_BY	gets

	/* 1 if interrupts may come */
	STEP	flags
	mrs	x4, daif
	tst	x4, #DAIF_INTERRUPTS
	cset	x3, eq

	STEP	interrupts_on
	msr	daifclr, #INTERRUPT_MASK

	STEP	interrupts_off
	msr	daifset, #INTERRUPT_MASK

	/* spins until data[2] is at least the operand */
	STEP	wait
waiting:
	BEAT
	POLL_STOP
	ldr	w4, WORD(RELEASED)
	cmp	w4, w1
	b.lo	waiting

	/* the same, waiting for interrupts, one of which has to come with that; the mask is as before */
	STEP	sleep
	mrs	x5, daif
sleeping:
	BEAT
	POLL_STOP
	msr	daifset, #INTERRUPT_MASK
	ldr	w4, WORD(RELEASED)
	cmp	w4, w1
	b.hs	awake
	wfi
	msr	daifclr, #INTERRUPT_MASK
	isb
	b	sleeping
awake:
	msr	daif, x5

/* ---- what leaves the guest. The operand is an offset from MMIO_BASE, and from bit 16 on the bytes. */

	.macro DEVICE
	LOAD	x4, MMIO_BASE
	add	x4, x4, w1, uxth
	lsr	w5, w1, #16
	.endm
	/* Which instruction accesses as many bytes as w5 says. */
	.macro BY_BYTES name
	tbnz	w5, #3, \name\()_8
	tbnz	w5, #2, \name\()_4
	tbnz	w5, #1, \name\()_2
	.endm

	STEP	mmio_write
	DEVICE
	BY_BYTES write
	strb	w2, [x4]
	b	next
write_2:
	strh	w2, [x4]
	b	next
write_4:
	str	w2, [x4]
	b	next
write_8:
	str	x2, [x4]

	/* what was loaded, and 0 above it */
	STEP	mmio_read
	DEVICE
	mvn	x0, xzr
	BY_BYTES read
	ldrb	w0, [x4]
	b	loaded
read_2:
	ldrh	w0, [x4]
	b	loaded
read_4:
	ldr	w0, [x4]
	b	loaded
read_8:
	ldr	x0, [x4]
loaded:
	mov	x3, x0

	/* with its sign in all of the register */
	STEP	mmio_read_signed
	DEVICE
	BY_BYTES signed
	ldrsb	x0, [x4]
	b	loaded
signed_2:
	ldrsh	x0, [x4]
	b	loaded
signed_8:
signed_4:
	ldrsw	x0, [x4]
	b	loaded

	/* with its sign in half of the register, and 0 above it */
	STEP	mmio_read_half
	DEVICE
	mvn	x0, xzr
	tbnz	w5, #1, half_2
	ldrsb	w0, [x4]
	b	loaded
half_2:
	ldrsh	w0, [x4]
	b	loaded

	/* the call of a service that the host answers, by a hvc: what it answers */
	STEP	call
	LOAD	x0, 0xc3000100
	hvc	#0
	mov	x3, x0

/* ---- exceptions: the class; the low half of FAR_EL1 at bit 32 if it is a store behind what is mapped */

	STEP	undefined
	adr	x24, next
	udf	#0

	STEP	supervisor_call
	adr	x24, next
	svc	#0x123

	STEP	breakpoint
	adr	x24, next
	brk	#0x456

	/* the operand is an offset there */
	STEP	page_fault
	adr	x24, next
	LOAD	x4, UNMAPPED
	str	x2, [x4, x1]

	STEP	end
	mov	w9, #DONE
	LOAD	x10, DONE_WORD
	str	w9, [x10]
	b	start

/* ---- places */

	/* In both halves. */
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
put_v\number:
	dup	v\number\().2d, x2
	b	next
get_v\number:
	mov	x3, v\number\().d[1]
	b	next
	.endr
	.irp	name, x13, x14, x15, x16, x17, x18, x26, x29
put_\name:
	mov	\name, x2
	b	next
get_\name:
	mov	x3, \name
	b	next
	.endr
	.irp	name, tpidr_el0, tpidrro_el0, tpidr_el1, contextidr_el1, dbgbvr0_el1, dbgbvr1_el1, fpsr
put_\name:
	msr	\name, x2
	b	next
get_\name:
	mrs	x3, \name
	b	next
	.endr

	LEAVE

/* An exception where one may come goes on there, and its result is in x3. */
exception:
	cbz	x24, unexpected
	msr	elr_el1, x24
	mov	x24, #0
	mrs	x4, esr_el1
	lsr	x3, x4, #ESR_CLASS_SHIFT
	cmp	x3, #(CLASS_DATA_ABORT)
	b.ne	1f
	and	x4, x4, #STORED
	mrs	x5, far_el1
	orr	x3, x3, x5, lsl #32
	orr	x3, x3, x4
1:	eret

	.balign	8
factor:
	.quad	6364136223846793005
