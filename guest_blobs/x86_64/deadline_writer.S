/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * deadline_writer: moves the local APIC's TSC-deadline timer on, as fast as it can. KVM may handle
 * each write in its fast path, with host interrupts off, and enter the guest again at once. Needs
 * an in-kernel local APIC in x2APIC mode, and the timer in the guest's CPUID (without it the
 * writes are dropped).
 *
 * Interrupts are off throughout and the timer's LVT entry is masked: a deadline that comes all the
 * same (the vCPU was not run for a while) does nothing.
 *
 * Phases: 1 switching the APIC and the timer on; 2 in the loop.
 * Data in:  data[0] cycles from now to the deadline (32 bits); 0 stands for 2^32, the farthest.
 * Data out: data[1] low and data[2] high 32 bits of the deadline that is written next or was last.
 * Heartbeat: + 1 after each write.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

#define TSC_DEADLINE_MODE	(2 << 17)
#define MASKED			(1 << 16)

start:
	ENTER_PHASE 1
	ENABLE_APIC
	WRITE_MSR MSR_X2APIC_LVT_TIMER, (TSC_DEADLINE_MODE | MASKED | VECTOR_INTERRUPT)
	movl	$MSR_TSC_DEADLINE, %ecx
	ENTER_PHASE 2
turn:
	movl	DATA_WORD(0), %ebx
	rdtsc
	cmpl	$1, %ebx		/* the carry is set for 0 only: 2^32 */
	adcl	$0, %edx
	addl	%ebx, %eax
	adcl	$0, %edx
	mov	AX, DATA_WORD(1)
	mov	DX, DATA_WORD(2)
	wrmsr
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
