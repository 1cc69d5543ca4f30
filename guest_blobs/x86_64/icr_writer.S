/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * icr_writer: sends interprocessor interrupts by the x2APIC's ICR, as fast as it can. KVM may handle
 * each write in its fast path, with host interrupts off. Every KVM that has this path takes this
 * form into it: fixed, physical, no shorthand, no broadcast. Needs an in-kernel local APIC in
 * x2APIC mode.
 *
 * Interrupts are off throughout: what the program sends to itself stays pending (vector 0x20 in the
 * IRR) and is never taken.
 *
 * Phases: 1 switching the APIC on; 2 in the loop.
 * Data in:  data[0] APIC id of the destination: 0 the first vCPU. Not 0xffffffff, the broadcast.
 *           With the id of no processor the write is the same, but nothing becomes pending.
 * Heartbeat: + 1 after each write.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

/* Delivery mode fixed (bits 8 to 10), destination physical (bit 11) and no shorthand (bits 18 and
 * 19) are all 0. Level is 1 for everything but an INIT de-assert (SDM volume 3, 12.6.1). */
#define LEVEL_ASSERT		(1 << 14)

start:
	ENTER_PHASE 1
	ENABLE_APIC
	movl	$MSR_X2APIC_ICR, %ecx
	movl	$(LEVEL_ASSERT | VECTOR_INTERRUPT), %eax
	ENTER_PHASE 2
turn:
	movl	DATA_WORD(0), %edx	/* in x2APIC mode the upper half is the destination */
	wrmsr
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
