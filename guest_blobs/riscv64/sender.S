/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sender: raises the software interrupt of every hart of its VM by the SBI's IPI, once a turn. What
 * a hart besides the ones that are tested executes, where a host cannot raise an interrupt by itself
 * that a guest could end. In supervisor mode, satp 0.
 *
 * Leaves: after each turn, by DONE_WORD.
 */
#include "program.inc"

#define SBI_IPI		0x735049
#define SBI_SEND	0

start:
	li	a7, SBI_IPI
	li	a6, SBI_SEND
	li	a0, 0
	li	a1, -1			/* every hart, instead of those of a mask */
	ecall
	li	t0, DONE
	li	t1, DONE_WORD
	sw	t0, (t1)
	j	start
