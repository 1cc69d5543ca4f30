/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * exceptions: tells of each exception that it takes all that the processor gives with it. The host
 * injects them into a loop that raises none by itself, or asks for one of the jobs below.
 *
 * Phases: 1 interrupts are on, the loop runs. Before that an event meets an unfinished table.
 * Data in:  data[0] 1: a local APIC in x2APIC mode is there (see halt). 0: the host injects.
 *           data[1] the job of each turn: 0 none; 1 tells its flags; 2 one invalid opcode, and then
 *           none; 3 steps by the trap flag over one cpuid, which the host executes in its place.
 * Data out: ticks interrupts of vector 0x20; data[2] NMIs; data[7] exceptions; of the last one:
 *           data[3] vector, data[4] error code or all ones for none, data[5] CR2, data[6] DR6;
 *           data[9] the flags as pushf stored them; data[10] jobs 2 and 3 begun;
 *           data[11] exceptions of job 3 that came elsewhere than behind its cpuid.
 * Vectors: 1, 6, 8, 11, 12, 13, 14, 17. Their handlers tell an error code by the depth of the stack,
 *          whose top must lie on a page's end. They skip job 2's instruction, and end job 3's steps.
 * Registers: the loop uses no register and, with job 0, no stack.
 * An SMI is counted in data[8] by the program smi, if the host loaded that too.
 * Protected mode takes one NMI only (see INTERRUPT_RETURN). Any other vector ends in a shutdown.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

#define JOB			DATA_WORD(1)
#define NO_CODE			0xffffffff
#define TRAP_FLAG_BIT		8

/* The low bits of the stack pointer behind an exception without an error code and a push; where the
 * frame has pc and flags once both are gone; the registers' width. */
#if defined(MODE_LONG)
#define DEPTH			0xfd0
#define WIDTH			8
#define FRAME_FLAGS		16
#elif defined(MODE_PROTECTED)
#define DEPTH			0xff0
#define WIDTH			4
#define FRAME_FLAGS		8
#else
#define DEPTH			0xff6
#define WIDTH			4
#define FRAME_FLAGS		4
#endif

#if defined(MODE_LONG)
#define PUSHF			pushfq
#define POPF			popfq
#else
#define PUSHF			pushfl
#define POPF			popfl
#endif

.macro EXCEPTION vector
exception_\vector:
	SET	DATA_WORD(3), \vector
	jmp	report
.endm

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_NMI, nmi
	INSTALL_HANDLER VECTOR_INTERRUPT, tick
	INSTALL_HANDLER 1, exception_1
	INSTALL_HANDLER 6, exception_6
	INSTALL_HANDLER 8, exception_8
	INSTALL_HANDLER 11, exception_11
	INSTALL_HANDLER 12, exception_12
	INSTALL_HANDLER 13, exception_13
	INSTALL_HANDLER 14, exception_14
	INSTALL_HANDLER 17, exception_17
	ENABLE_APIC_IF_PRESENT
	sti
	nop				/* interrupts are on after the instruction that follows sti */
	ENTER_PHASE 1
turn:
	BEAT
	POLL_STOP
	cmpl	$0, JOB
	je	turn
	cmpl	$1, JOB
	je	tell_flags
	cmpl	$2, JOB
	je	undefined
	COUNT	DATA_WORD(10)
	PUSHF
	pop	AX
	bts	$TRAP_FLAG_BIT, AX
	push	AX
	POPF
	cpuid
stepped_over:				/* the trap is here */
	jmp	turn

tell_flags:
	PUSHF
	pop	AX
	mov	%eax, DATA_WORD(9)
	jmp	turn

undefined:
	SET	JOB, 0
	COUNT	DATA_WORD(10)
undefined_instruction:
	ud2
	jmp	turn

	LEAVE

	EXCEPTION 1
	EXCEPTION 6
	EXCEPTION 8
	EXCEPTION 11
	EXCEPTION 12
	EXCEPTION 13
	EXCEPTION 14
	EXCEPTION 17

report:
	push	AX
	mov	SP, AX
	andl	$0xfff, %eax
	cmpl	$DEPTH, %eax
	je	without_code
	mov	WIDTH(SP), AX
	mov	%eax, DATA_WORD(4)
	pop	AX
	add	$WIDTH, SP
	push	AX
	jmp	reported
without_code:
	movl	$NO_CODE, DATA_WORD(4)
reported:
	mov	%cr2, AX
	mov	%eax, DATA_WORD(5)
	mov	%dr6, AX
	mov	%eax, DATA_WORD(6)
	pop	AX
	btrl	$TRAP_FLAG_BIT, FRAME_FLAGS(SP)
	cmpl	$3, JOB
	jne	in_place
#if defined(MODE_REAL)
	cmpw	$stepped_over, (SP)
#else
	cmpl	$stepped_over, (SP)
#endif
	je	in_place
	COUNT	DATA_WORD(11)
in_place:
#if defined(MODE_REAL)
	cmpw	$undefined_instruction, (SP)
	jne	counted
	addw	$2, (SP)
#else
	cmpl	$undefined_instruction, (SP)
	jne	counted
	addl	$2, (SP)
#endif
counted:
	COUNT	DATA_WORD(7)
	INTERRUPT_RETURN

	TICK_HANDLER tick, 0
	COUNTING_HANDLER nmi, DATA_WORD(2)

	TABLES
