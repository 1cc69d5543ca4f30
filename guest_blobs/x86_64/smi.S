/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * smi: the handler of a system management interrupt; counts, beside another program in any mode
 * that does not use data[8] itself (hypercall does).
 * Real mode only: SMM starts 16-bit at SMBASE + 0x8000 = 0x38000, with CS base 0x30000.
 *
 * Data out: data[8] SMIs (32 bits).
 * Only DS is set, for the mailbox is not in the code segment. rsm restores every register.
 */
#include "program.inc"

start:
	xorw	%ax, %ax
	movw	%ax, %ds
	incl	DATA_WORD(8)
	rsm
