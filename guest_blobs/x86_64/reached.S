/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * reached: spins without an exit of its own, and notes where it was when an interrupt reached it.
 *
 * Phases: 1 interrupts are on, the loop runs.
 * Data in:  data[0] 1: a local APIC in x2APIC mode is there (see halt).
 *           data[4] an address below 4 GiB, or 0: each turn the heartbeat is stored there, 32 bits.
 *           data[5] 1: no more stores.
 *           data[7] how many stores are left, after which data[5] is set; 0: no end of them.
 * Data out: ticks interrupts of vector 0x20; data[2] NMIs.
 *           data[6] the heartbeat at the first of either since the host wrote 0 there.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

/* Notes the heartbeat, once. Changes no register. */
.macro NOTE_HEARTBEAT
	cmpl	$0, DATA_WORD(6)
	jne	.Lnoted\@
	push	AX
	movl	HEARTBEAT, %eax
	movl	%eax, DATA_WORD(6)
	pop	AX
.Lnoted\@:
.endm

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_NMI, nmi
	INSTALL_HANDLER VECTOR_INTERRUPT, interrupt
	ENABLE_APIC_IF_PRESENT
	sti
	nop
	ENTER_PHASE 1
turn:
	BEAT
	POLL_STOP
	cmpl	$0, DATA_WORD(5)
	jne	turn
	movl	DATA_WORD(4), %ebx
	testl	%ebx, %ebx
	jz	turn
	movl	HEARTBEAT, %eax
	movl	%eax, (BX)
	cmpl	$0, DATA_WORD(7)
	je	turn
	decl	DATA_WORD(7)
	jnz	turn
	movl	$1, DATA_WORD(5)
	jmp	turn

	LEAVE

interrupt:
	NOTE_HEARTBEAT
	TICK_HANDLER tick, 0

nmi:
	NOTE_HEARTBEAT
	COUNTING_HANDLER counted, DATA_WORD(2)

	TABLES
