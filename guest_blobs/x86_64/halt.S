/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * halt: halts with interrupts on, again and again; each interrupt wakes it for one turn.
 *
 * Phases: 1 about to halt, or halted; 2 awake again.
 * Data in:  data[0] 1: a local APIC in x2APIC mode is there. It is then switched on, and each
 *           interrupt ends with a write to its EOI register. 0: no APIC (the host injects).
 * Data out: ticks interrupts of vector 0x20; data[2] NMIs (protected mode takes one only, see
 *           INTERRUPT_RETURN); data[3] interrupts between sti and hlt (see END_HALT).
 * Heartbeat: one a halt, counted before it.
 * Leaves: when the stop word is set, but a halted processor polls nothing: to stop it, write the
 *         word, then send an interrupt or an NMI. (Where hlt leaves KVM_RUN, with no in-kernel
 *         APIC, running it again is enough.)
 */
#include "program.inc"

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_NMI, nmi
	INSTALL_HANDLER VECTOR_INTERRUPT, tick
	ENABLE_APIC_IF_PRESENT
turn:
	/* Off while the stop word is read: an interrupt that comes now stays pending and ends the
	 * hlt. */
	cli
	ENTER_PHASE 1
	BEAT
	POLL_STOP
	HALT	asleep
	ENTER_PHASE 2
	jmp	turn

	LEAVE

	TICK_HANDLER tick, 0, asleep
	COUNTING_HANDLER nmi, DATA_WORD(2)

	TABLES
