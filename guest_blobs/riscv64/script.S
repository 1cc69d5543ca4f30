/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * script: does the steps that the host has written, one after the other, and keeps a log of what came
 * of each. Supervisor mode with Sv39 only.
 *
 * A step is 16 bytes: its number in STEPS below, 32 bits; an operand, 32 bits; a value, 64 bits. A log
 * entry is 16 bytes: which step of the script, from 0, 32 bits; its number in STEPS, 32 bits; the
 * result, 64 bits, which the source of each step says: else 0.
 *
 * Phases: 1 in the script.
 * Data in:  data[2] ends the steps `wait` and `sleep` of an operand that is no greater.
 * Data out: data[1] steps done, over all scripts; ticks interrupts.
 * Registers: a0 what a step loads or is told; a1 its operand, a2 its value, a3 its result; s2 the step,
 *            s3 the log entry, s4 the accumulator, s5 steps done of this script; s6 where to go on
 *            after an exception, 0 if none may come; gp, tp, s7 to s10 and t3 to t6 are places.
 * Leaves: when the stop word is set; by the step `end`, after which the script begins anew; with
 *         DONE_UNEXPECTED for a step that it does not know, and an exception where none may come.
 */
#include "program.inc"

#define LOG		0x50000
#define SCRATCH		0x60000		/* four pages that only steps use */
#define SCRIPT		0x68000
#define UNMAPPED	0x80000000	/* behind what the page tables map */
#define RELEASED	DATA_WORD(2)
#define FMV_D_X		0xf2000053	/* to a register of the FPU; the assembler is told of none */
#define FMV_X_D		0xe2000053
#define A2		12
#define A3		13

	.macro STEP name
	j	next
step_\name:
	.endm

	/* A jump by a table of distances to the entry that the register names. Changes t0 and t1. */
	.macro JUMP_BY table, number
	lla	t0, \table
	slli	t1, \number, 2
	add	t1, t1, t0
	lw	t1, (t1)
	add	t0, t0, t1
	jr	t0
	.endm
	.set	number_of_steps, 0
	.set	number_of_puts, 0
	.set	number_of_gets, 0
	.macro ENTRIES table, prefix, names:vararg
	.irp	name, \names
	.word	\prefix\name - \table
	.set	number_of_\table, number_of_\table + 1
	.endr
	.endm

	PROGRAM_BEGINS exception
	.balign	4
steps:
	ENTRIES	steps, step_, end, compute, store, load, exchange_add, mmio_write, mmio_read
	ENTRIES	steps, step_, mmio_read_signed, call, put, get, flags
	ENTRIES	steps, step_, interrupts_on, interrupts_off, undefined, breakpoint
	ENTRIES	steps, step_, load_fault, page_fault, wait, sleep

/* Places by number, to be put and got. */
.macro PLACES_OF table, verb
	ENTRIES	\table, \verb\()_f, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	ENTRIES	\table, \verb\()_f, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ENTRIES	\table, \verb\()_, gp, tp, s7, s8, s9, s10, t3, t4, t5, t6
.endm
puts:
	PLACES_OF puts, put
gets:
	PLACES_OF gets, get

start:
	SET_UP
	ENABLE_INTERRUPT
	ENTER_PHASE 1
	li	s2, SCRIPT
	li	s3, LOG
	li	s4, 0
	li	s5, 0
	li	s6, 0
turn:
	POLL_STOP
	lwu	a0, 0(s2)
	lwu	a1, 4(s2)
	ld	a2, 8(s2)
	li	a3, 0
	li	t0, number_of_steps
	bgeu	a0, t0, unexpected
	JUMP_BY	steps, a0

/* The step is done; its result is in a3. */
next:
	lwu	t0, (s2)
	sw	s5, 0(s3)
	sw	t0, 4(s3)
	sd	a3, 8(s3)
	addi	s2, s2, 16
	addi	s3, s3, 16
	addi	s5, s5, 1
	COUNT	DATA_WORD(1)
	BEAT
	j	turn

/* ---- memory and registers. The operand of the first three is an offset in SCRATCH. */

	/* accumulator * an odd number + value: the accumulator as it then is */
	STEP	compute
	lla	a4, factor
	ld	a4, (a4)
	mul	s4, s4, a4
	add	s4, s4, a2
	mv	a3, s4

	.macro PLACE_IN_SCRATCH
	li	a4, SCRATCH
	add	a4, a4, a1
	.endm

	/* value to memory */
	STEP	store
	PLACE_IN_SCRATCH
	sd	a2, (a4)

	/* memory */
	STEP	load
	PLACE_IN_SCRATCH
	ld	a3, (a4)

	/* memory + value: memory as it was */
	STEP	exchange_add
	PLACE_IN_SCRATCH
	amoadd.d a3, a2, (a4)

	/* value to the place that the operand names */
	STEP	put
	li	t0, number_of_puts
	bgeu	a1, t0, unexpected
	JUMP_BY	puts, a1

	/* what is in the place */
	STEP	get
	li	t0, number_of_gets
	bgeu	a1, t0, unexpected
	JUMP_BY	gets, a1

	/* 1 if interrupts may come */
	STEP	flags
	csrr	a3, sstatus
	srli	a3, a3, 1
	andi	a3, a3, 1

	STEP	interrupts_on
	csrsi	sstatus, SSTATUS_SIE

	STEP	interrupts_off
	csrci	sstatus, SSTATUS_SIE

	/* spins until data[2] is at least the operand */
	STEP	wait
waiting:
	BEAT
	POLL_STOP
	lwu	a4, WORD(RELEASED)
	bltu	a4, a1, waiting

	/* the same, waiting for interrupts, one of which has to come with that; the bit is as before */
	STEP	sleep
	csrr	a5, sstatus
	andi	a5, a5, SSTATUS_SIE
sleeping:
	BEAT
	POLL_STOP
	csrci	sstatus, SSTATUS_SIE
	lwu	a4, WORD(RELEASED)
	bgeu	a4, a1, awake
	wfi
	csrsi	sstatus, SSTATUS_SIE
	j	sleeping
awake:
	csrs	sstatus, a5

/* ---- what leaves the guest. The operand is an offset from MMIO_BASE, and from bit 16 on the bytes. */

	.macro DEVICE
	li	a4, MMIO_BASE
	slli	a5, a1, 48
	srli	a5, a5, 48
	add	a4, a4, a5
	srli	a5, a1, 16
	.endm
	/* Which instruction accesses as many bytes as a5 says. */
	.macro BY_BYTES name
	li	t0, 8
	beq	a5, t0, \name\()_8
	li	t0, 4
	beq	a5, t0, \name\()_4
	li	t0, 2
	beq	a5, t0, \name\()_2
	.endm

	STEP	mmio_write
	DEVICE
	BY_BYTES write
	sb	a2, (a4)
	j	next
write_2:
	sh	a2, (a4)
	j	next
write_4:
	sw	a2, (a4)
	j	next
write_8:
	sd	a2, (a4)

	/* what was loaded, and 0 above it */
	STEP	mmio_read
	DEVICE
	li	a0, -1
	BY_BYTES read
	lbu	a0, (a4)
	j	loaded
read_2:
	lhu	a0, (a4)
	j	loaded
read_4:
	lwu	a0, (a4)
	j	loaded
read_8:
	ld	a0, (a4)
loaded:
	mv	a3, a0

	/* with its sign above it */
	STEP	mmio_read_signed
	DEVICE
	BY_BYTES signed
	lb	a0, (a4)
	j	loaded
signed_2:
	lh	a0, (a4)
	j	loaded
signed_8:
signed_4:
	lw	a0, (a4)
	j	loaded

	/* a call of an experimental extension of the SBI: the first it is told, less the second */
	STEP	call
	li	a7, 0x08000000
	li	a6, 5
	mv	a0, a2
	ecall
	sub	a3, a0, a1

/* ---- exceptions: the cause. stval may be 0 where a processor lacks Sstvala. */

	STEP	undefined
	lla	s6, next
	.4byte	0

	STEP	breakpoint
	lla	s6, next
	ebreak

	.macro BEHIND_WHAT_IS_MAPPED
	lla	s6, next
	li	a4, UNMAPPED
	add	a4, a4, a1
	.endm

	/* the operand is an offset there */
	STEP	load_fault
	BEHIND_WHAT_IS_MAPPED
	ld	a3, (a4)

	STEP	page_fault
	BEHIND_WHAT_IS_MAPPED
	sd	a2, (a4)

	STEP	end
	li	t0, DONE
	li	t1, DONE_WORD
	sw	t0, (t1)
	j	start

/* ---- places */

	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
put_f\number:
	.4byte	FMV_D_X | A2 << 15 | \number << 7
	j	next
get_f\number:
	.4byte	FMV_X_D | \number << 15 | A3 << 7
	j	next
	.endr
	.irp	name, gp, tp, s7, s8, s9, s10, t3, t4, t5, t6
put_\name:
	mv	\name, a2
	j	next
get_\name:
	mv	a3, \name
	j	next
	.endr

	LEAVE

/* An exception where one may come goes on there, and its result is in a3. t0 is in sscratch. */
exception:
	beqz	s6, unexpected
	csrw	sepc, s6
	li	s6, 0
	csrr	a3, scause
	csrr	t0, sscratch
	sret

	.balign	8
factor:
	.quad	6364136223846793005
