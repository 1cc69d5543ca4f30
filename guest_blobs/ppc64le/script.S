/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * script: does the steps that the host has written, one after the other, and keeps a log of what came
 * of each. The mode translated only.
 *
 * A step is 16 bytes: its number in STEPS below, 32 bits; an operand, 32 bits; a value, 64 bits. A log
 * entry is 16 bytes: which step of the script, from 0, 32 bits; its number in STEPS, 32 bits; the
 * result, 64 bits, which the source of each step says: else 0.
 *
 * Phases: 1 in the script.
 * Data in:  data[2] ends the step `wait` of an operand that is no greater.
 * Data out: data[1] steps done, over all scripts.
 * Registers: r3 what a step loads or is told; r4 its operand, r5 its value, r6 its result; r20 the step,
 *            r21 the log entry, r22 the accumulator, r23 steps done of this script; r2, r13, r16 to r19
 *            and r24 to r28 are places.
 * Leaves: when the stop word is set; by the step `end`, after which the script begins anew; with
 *         DONE_UNEXPECTED for a step that it does not know.
 */
#include "program.inc"

#define LOG		0x50000
#define SCRATCH		0x60000		/* four pages that only steps use */
#define SCRIPT		0x68000
#define RELEASED	DATA_WORD(2)
#define CALL		0x58		/* H_PUT_TERM_CHAR, which KVM hands on */
#define VRSAVE		256
#define VECTORS		32		/* of the registers of VSX, those of VMX begin there */

	.macro STEP name
	b	next
step_\name:
	.endm

	/* A jump by a table of distances to the entry that the register names. Changes r9 and r10. */
	.macro JUMP_BY table, number
	lis	9, \table@ha
	addi	9, 9, \table@l
	sldi	10, \number, 2
	lwax	10, 9, 10
	add	9, 9, 10
	mtctr	9
	bctr
	.endm
	.macro ENTRIES table, prefix, names:vararg
	.irp	name, \names
	.long	\prefix\name - \table
	.endr
	.endm

start:
	SET_UP
	WIND_UP
	ENTER_PHASE 1
	ADDRESS	20, SCRIPT
	ADDRESS	21, LOG
	li	22, 0
	li	23, 0
turn:
	POLL_STOP
	lwz	3, 0(20)
	lwz	4, 4(20)
	ld	5, 8(20)
	li	6, 0
	cmpldi	3, (steps_end - steps) / 4
	bge	unexpected
	JUMP_BY	steps, 3

/* The step is done; its result is in r6. */
next:
	lwz	9, 0(20)
	stw	23, 0(21)
	stw	9, 4(21)
	std	6, 8(21)
	addi	20, 20, 16
	addi	21, 21, 16
	addi	23, 23, 1
	COUNT	DATA_WORD(1)
	BEAT
	b	turn

	.balign	4
steps:
	ENTRIES	steps, step_, end, compute, store, load, exchange_add, mmio_write, mmio_read
	ENTRIES	steps, step_, mmio_read_signed, mmio_read_reversed, call, put, get, wait
steps_end:

/* Places by number, to be put and got. */
.macro PLACES_OF table, verb
	ENTRIES	\table, \verb\()_v, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	ENTRIES	\table, \verb\()_v, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ENTRIES	\table, \verb\()_, f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15
	ENTRIES	\table, \verb\()_, f16, f17, f18, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28
	ENTRIES	\table, \verb\()_, f29, f30, f31, r2, r13, r16, r17, r18, r19, r24, r25, r26, r27, r28
	ENTRIES	\table, \verb\()_, lr, sprg2, sprg3, vrsave
.endm
puts:
	PLACES_OF puts, put
puts_end:
gets:
	PLACES_OF gets, get

/* ---- memory and registers. The operand of the first three is an offset in SCRATCH. */

	/* accumulator * an odd number + value: the accumulator as it then is */
	STEP	compute
	lis	9, factor@ha
	ld	9, factor@l(9)
	mulld	22, 22, 9
	add	22, 22, 5
	mr	6, 22

	.macro PLACE_IN_SCRATCH
	ADDRESS	15, SCRATCH
	add	15, 15, 4
	.endm

	/* value to memory */
	STEP	store
	PLACE_IN_SCRATCH
	std	5, 0(15)

	/* memory */
	STEP	load
	PLACE_IN_SCRATCH
	ld	6, 0(15)

	/* memory + value: memory as it was */
	STEP	exchange_add
	PLACE_IN_SCRATCH
again:
	ldarx	6, 0, 15
	add	9, 6, 5
	stdcx.	9, 0, 15
	bne	again

	/* value to the place that the operand names */
	STEP	put
	cmpldi	4, (puts_end - puts) / 4
	bge	unexpected
	JUMP_BY	puts, 4

	/* what is in the place */
	STEP	get
	cmpldi	4, (puts_end - puts) / 4
	bge	unexpected
	JUMP_BY	gets, 4

	/* spins until data[2] is at least the operand */
	STEP	wait
waiting:
	BEAT
	POLL_STOP
	lwz	9, WORD(RELEASED)
	cmplw	9, 4
	blt	waiting

/* ---- what leaves the guest. The operand is an offset from MMIO_BASE, and from bit 16 on the bytes. */

	.macro DEVICE
	ADDRESS	15, MMIO_BASE
	clrldi	9, 4, 48
	add	15, 15, 9
	srdi	9, 4, 16
	.endm
	/* Which instruction accesses as many bytes as r9 says. */
	.macro BY_BYTES name
	cmpdi	9, 8
	beq	\name\()_8
	cmpdi	9, 4
	beq	\name\()_4
	cmpdi	9, 2
	beq	\name\()_2
	.endm

	STEP	mmio_write
	DEVICE
	BY_BYTES write
	stb	5, 0(15)
	b	next
write_2:
	sth	5, 0(15)
	b	next
write_4:
	stw	5, 0(15)
	b	next
write_8:
	std	5, 0(15)

	/* what was loaded, and 0 above it */
	STEP	mmio_read
	DEVICE
	li	3, -1
	BY_BYTES read
	lbz	3, 0(15)
	b	loaded
read_2:
	lhz	3, 0(15)
	b	loaded
read_4:
	lwz	3, 0(15)
	b	loaded
read_8:
	ld	3, 0(15)
loaded:
	mr	6, 3

	/* 2 or 4 bytes, with their sign above them */
	STEP	mmio_read_signed
	DEVICE
	cmpdi	9, 4
	beq	signed_4
	lha	3, 0(15)
	b	loaded
signed_4:
	lwa	3, 0(15)
	b	loaded

	/* 2, 4 or 8 bytes in the other order */
	STEP	mmio_read_reversed
	DEVICE
	li	3, -1
	BY_BYTES reversed
reversed_2:
	lhbrx	3, 0, 15
	b	loaded
reversed_4:
	lwbrx	3, 0, 15
	b	loaded
reversed_8:
	ldbrx	3, 0, 15
	b	loaded

	/* a hypercall with the value: the first it is told, less the second */
	STEP	call
	li	3, CALL
	mr	4, 5
	sc	1
	sub	6, 3, 4

	STEP	end
	li	29, DONE
	ADDRESS	30, DONE_WORD
	stw	29, 0(30)
	b	start

/* ---- places */

	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	/* In both halves. */
put_v\number:
	mtvsrdd	VECTORS + \number, 5, 5
	b	next
get_v\number:
	mfvsrld	6, VECTORS + \number
	b	next
put_f\number:
	mtvsrd	\number, 5
	b	next
get_f\number:
	mfvsrd	6, \number
	b	next
	.endr
	.irp	number, 2, 13, 16, 17, 18, 19, 24, 25, 26, 27, 28
put_r\number:
	mr	\number, 5
	b	next
get_r\number:
	mr	6, \number
	b	next
	.endr
put_lr:
	mtlr	5
	b	next
get_lr:
	mflr	6
	b	next
put_sprg2:
	mtsprg	2, 5
	b	next
get_sprg2:
	mfsprg	6, 2
	b	next
put_sprg3:
	mtsprg	3, 5
	b	next
get_sprg3:
	mfsprg	6, 3
	b	next
put_vrsave:
	mtspr	VRSAVE, 5
	b	next
get_vrsave:
	mfspr	6, VRSAVE
	b	next

unexpected:
	li	29, DONE_UNEXPECTED
	b	leave

	LEAVE

	.balign	8
factor:
	.quad	6364136223846793005
