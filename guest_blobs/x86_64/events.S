/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * events: counts each kind of event that a host can make pending, and a heartbeat meanwhile.
 *
 * Phases: 1 interrupts are on, the loop runs. Before that an event meets an unfinished table.
 * Data in:  data[0] 1: a local APIC in x2APIC mode is there (see halt). 0: the host injects.
 * Data out: ticks interrupts of vector 0x20; data[2] NMIs; data[3] breakpoints (vector 3);
 *           data[6] invalid opcodes (vector 6). The host injects the exceptions: the loop has no
 *           such instruction, so the handlers simply return to where they came from.
 * Protected mode takes one NMI only (see INTERRUPT_RETURN).
 * Any other vector ends in a shutdown (real mode: PORT_DONE with DONE_UNEXPECTED).
 * An SMI is counted in data[8] by the program smi, if the host loaded that too.
 * Leaves: when the stop word is set.
 */
#include "program.inc"

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_NMI, nmi
	INSTALL_HANDLER VECTOR_BREAKPOINT, breakpoint
	INSTALL_HANDLER VECTOR_INVALID_OPCODE, invalid_opcode
	INSTALL_HANDLER VECTOR_INTERRUPT, tick
	ENABLE_APIC_IF_PRESENT
	sti
	nop				/* interrupts are on after the instruction that follows sti */
	ENTER_PHASE 1
turn:
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE

	TICK_HANDLER tick, 0
	COUNTING_HANDLER nmi, DATA_WORD(2)
	COUNTING_HANDLER breakpoint, DATA_WORD(3)
	COUNTING_HANDLER invalid_opcode, DATA_WORD(6)

	TABLES
