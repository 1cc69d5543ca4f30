/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * second_processor: starts another processor by INIT and SIPI, and counts meanwhile. The other one
 * runs second_processor_ap. Needs an in-kernel local APIC in x2APIC mode.
 *
 * Phases: 1 waits for data[3] to be 0; 2 INIT sent; 3 SIPI sent, counting.
 * Data in: data[3] 0: send both at once; 1: send nothing until the host writes 0.
 *          data[4] the APIC id to start.
 * Heartbeat: counts in phases 1 and 3. Data out: none here; data[0] belongs to the other processor.
 * Leaves: when the stop word is set (both processors do).
 */
#include "program.inc"

/* Interrupt command register: level assert (bit 14); delivery mode INIT (5 << 8), or start-up
 * (6 << 8) with the page number of the entry. The destination is the upper 32 bits. */
#define ICR_INIT	0x4500
#define ICR_STARTUP	(0x4600 | (SECOND_PROGRAM >> 12))

start:
	ENABLE_APIC
	ENTER_PHASE 1
wait:
	BEAT
	POLL_STOP
	cmpl	$0, DATA_WORD(3)
	jne	wait

	movl	$MSR_X2APIC_ICR, %ecx
	movl	DATA_WORD(4), %edx
	movl	$ICR_INIT, %eax
	wrmsr
	ENTER_PHASE 2
	movl	$ICR_STARTUP, %eax
	wrmsr
	ENTER_PHASE 3
turn:
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE
