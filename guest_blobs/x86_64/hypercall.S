/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hypercall: makes the hypercall that the host describes, again and again.
 *
 * Phases: 1 before and at the hypercall; 2 after it.
 * Data in:  data[3] 0: vmcall (Intel), 1: vmmcall (AMD). The wrong one is an invalid opcode, which
 *           KVM rewrites to the right one in guest memory unless its quirk for that
 *           (KVM_X86_QUIRK_FIX_HYPERCALL_INSN) is disabled.
 *           data[4] number (eax/rax), data[5] to data[8] arguments (ebx, ecx, edx, esi or r..).
 * Data out: data[0] the result (eax/rax); data[1] + 1 once instructions after the call ran;
 *           data[2] invalid opcodes (#UD) taken: the processor has no such hypercall. The
 *           instruction is skipped, and the result is the number that went in.
 * Registers: edi/rdi is 0 at the hypercall and the very next instruction makes it 1: 0 says that
 *            nothing ran after it. The instruction is nothing but that increment.
 * Leaves: when the stop word is set, after a full turn. Where KVM emulates every instruction
 *         (kvm_pvm), the rewritten call is rewritten for ever and never made: KVM_RUN then ends by
 *         a signal only. With the quirk disabled there is a #UD instead.
 */
#include "program.inc"

start:
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_INVALID_OPCODE, invalid_opcode
turn:
	ENTER_PHASE 1
	mov	DATA_WORD(4), AX
	mov	DATA_WORD(5), BX
	mov	DATA_WORD(6), CX
	mov	DATA_WORD(7), DX
	mov	DATA_WORD(8), SI
	xorl	%edi, %edi
	cmpl	$0, DATA_WORD(3)
	jne	amd
	vmcall
	inc	DI
	jmp	made
amd:
	vmmcall
	inc	DI
made:
	mov	AX, DATA_WORD(0)
	COUNT	DATA_WORD(1)
	ENTER_PHASE 2
	BEAT
	POLL_STOP
	jmp	turn

	LEAVE

/* vmcall and vmmcall are 3 bytes each; no error code in any mode. */
invalid_opcode:
	COUNT	DATA_WORD(2)
	SKIP_INSTRUCTION 3
	INTERRUPT_RETURN

	TABLES
