/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sleeper: starts the local APIC's timer and halts until it fires, again and again, each time with a
 * time of its own, so that it fires at any point of the way into the halt. Needs an in-kernel local
 * APIC in x2APIC mode.
 *
 * Phases: 1 before and at the wrmsr that starts the timer; 2 started, halted until the interrupt.
 * Data in:  data[5] the shortest time, in the timer's counts (KVM's are of 1 ns); data[6] the longest;
 *           data[7] by how much one turn's is longer than that before it.
 * Data out: ticks interrupts; data[3] interrupts between sti and hlt (see END_HALT).
 * Heartbeat: + 1 after each interrupt, so it follows ticks.
 * Leaves: when the stop word is set. It is polled when something ends the hlt.
 */
#include "program.inc"

#define MSR_X2APIC_TIMER_INITIAL 0x838
#define MSR_X2APIC_TIMER_DIVIDE	0x83e
#define DIVIDE_BY_ONE		0xb

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_INTERRUPT, tick
	ENABLE_APIC
	WRITE_MSR MSR_X2APIC_LVT_TIMER, VECTOR_INTERRUPT	/* once each time */
	WRITE_MSR MSR_X2APIC_TIMER_DIVIDE, DIVIDE_BY_ONE
shortest:
	movl	DATA_WORD(5), %ebx
turn:
	ENTER_PHASE 1
	movl	TICKS, %esi		/* before the start: a short time may be over at once */
	movl	$MSR_X2APIC_TIMER_INITIAL, %ecx
	movl	%ebx, %eax
	xorl	%edx, %edx
	wrmsr
	ENTER_PHASE 2
	/* Interrupts are off but for the hlt: ticks cannot change between the comparison and it. */
wait:
	cmpl	%esi, TICKS
	jne	fired
	POLL_STOP
	HALT	asleep
	cli
	jmp	wait
fired:
	BEAT
	POLL_STOP
	addl	DATA_WORD(7), %ebx
	cmpl	DATA_WORD(6), %ebx
	jbe	turn
	jmp	shortest

	LEAVE

	TICK_HANDLER tick, 1, asleep

	TABLES
