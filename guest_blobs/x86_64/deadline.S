/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * deadline: arms the local APIC's TSC-deadline timer, halts until it fires, again and again. Needs
 * an in-kernel local APIC in x2APIC mode, and the timer in the guest's CPUID.
 *
 * Phases: 1 before and at the wrmsr that arms the timer; 2 armed, halted until the interrupt.
 * Data in:  data[0] cycles from now to the deadline (32 bits).
 * Data out: ticks interrupts; data[1] low and data[2] high 32 bits of the last deadline;
 *           data[3] interrupts between sti and hlt (see END_HALT).
 * Heartbeat: + 1 after each interrupt, so it follows ticks.
 * Leaves: when the stop word is set. It is polled when something ends the hlt: the timer, or an
 *         interrupt of vector 0x20 that the host sends if the timer was lost.
 */
#include "program.inc"

#define TSC_DEADLINE_MODE	(2 << 17)

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_INTERRUPT, tick
	ENABLE_APIC
	WRITE_MSR MSR_X2APIC_LVT_TIMER, (TSC_DEADLINE_MODE | VECTOR_INTERRUPT)
turn:
	ENTER_PHASE 1
	movl	TICKS, %ebx		/* before arming: a short deadline may be over at once */
	rdtsc
	addl	DATA_WORD(0), %eax
	adcl	$0, %edx
	mov	AX, DATA_WORD(1)
	mov	DX, DATA_WORD(2)
	movl	$MSR_TSC_DEADLINE, %ecx
	wrmsr
	ENTER_PHASE 2
	/* Interrupts are off but for the hlt: ticks cannot change between the comparison and it. */
wait:
	cmpl	%ebx, TICKS
	jne	fired
	POLL_STOP
	HALT	asleep
	cli
	jmp	wait
fired:
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE

	TICK_HANDLER tick, 1, asleep

	TABLES
