/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nested_svm: a hypervisor (L1) whose guest (L2) counts for ever. For processors that offer SVM.
 *
 * L1 and L2 share memory, page tables (no nested paging) and descriptor tables. L2 leaves to L1 by
 * vmmcall when it sees the stop word, and for interrupts, which L1 takes: L2's own are off. The
 * layout of the control block (VMCB) is AMD's manual, volume 2, appendix B.
 *
 * Phases: 1 L1, before its first vmrun; 2 L2's loop, until L1 has come to its end.
 * Data in:  data[0] 1: a local APIC in x2APIC mode is there (see halt). 0: the host injects.
 *           data[4] 1: L2 leaves to L1 after each turn, and is entered again at its start.
 *           data[6] an MSR that L2 reads each turn; 0: none. L1 intercepts those of its MSR bitmap,
 *           which is empty unless the host fills it, as is that of ports. The host may add to the
 *           intercepts, too.
 *           data[7] what L1 injects with each entry, as EVENTINJ of the control block has it; 0:
 *           nothing. L2 takes vectors 5 (an exception) and 0x1f.
 *           data[10] a port from which L2 takes a byte by INSB each turn, and data[11] an address from
 *           which it loads four; 0: none. Both go to SECOND_PROGRAM, which is not of the mailbox.
 * Data out: ticks interrupts of vector 0x20; data[1] vmruns that came back, since the start;
 *           data[2] and data[3] the halves of the last exit code: all ones if vmrun refused the
 *           control block; data[5] vmruns begun, since the start: with data[4] as many as came back,
 *           and as heartbeats, in the end; data[8] events that L1 injected, and data[9] those that L2
 *           took; data[12] times that L2 left for the stop word, which may be gone when L1 looks.
 * Leaves: when the stop word is set; with DONE_UNEXPECTED for any exit of L2 but these two. Where
 *         the processor has no SVM, or keeps it off, in a shutdown.
 */
#include "program.inc"

#define MSR_EFER		0xc0000080
#define MSR_VM_HSAVE_PA		0xc0010117
#define EFER_SVME		(1 << 12)

/* Of the control block: offsets, bits and exit codes. */
#define INTERCEPTS_1		0x00c
#define INTERCEPT_INTR		(1 << 0)
#define INTERCEPT_IO		(1 << 27)	/* those of the bitmap */
#define INTERCEPT_MSR		(1 << 28)	/* likewise */
#define INTERCEPT_SHUTDOWN	(1 << 31)	/* so that L1 sees it if KVM takes L2 for shut down */
#define INTERCEPTS_2		0x010
#define INTERCEPT_VMRUN		(1 << 0)	/* vmrun refuses a block without it */
#define INTERCEPT_VMMCALL	(1 << 1)
#define PORT_BITMAP_ADDRESS	0x040
#define MSR_BITMAP_ADDRESS	0x048
#define ASID			0x058
#define VIRTUAL_INTERRUPTS	0x060
#define V_INTR_MASKING		(1 << 24)	/* L1's interrupt flag counts, not L2's */
#define EXIT_CODE		0x070
#define EVENT_INJECTION		0x0a8
#define ES			0x400
#define CS			0x410
#define SS			0x420
#define DS			0x430
#define ATTRIBUTES		0x2
#define LIMIT			0x4
#define BASE			0x8
#define GDTR			0x460
#define IDTR			0x480
#define SAVED_EFER		0x4d0
#define SAVED_CR4		0x548
#define SAVED_CR3		0x550
#define SAVED_CR0		0x558
#define SAVED_DR7		0x560
#define SAVED_DR6		0x568
#define SAVED_RFLAGS		0x570
#define SAVED_RIP		0x578
#define SAVED_RSP		0x5d8

#define EXIT_INTR		0x60
#define EXIT_VMMCALL		0x81

#define INPUT			SECOND_PROGRAM
#define VECTOR_BOUND_RANGE	0x05
#define VECTOR_INJECTED		0x1f

#define LONG_CODE		0xa9b		/* the attributes of GDT entries 0x08 and 0x10 */
#define FLAT_DATA		0xc93

.macro FIELD offset, value
	movl	$\value, VMCB + \offset
.endm

/* The processor's own register, into the block. Changes rax. */
.macro COPY register, offset
	mov	\register, %rax
	mov	%rax, VMCB + \offset
.endm

/* A flat segment; its base is 0 already. */
.macro SEGMENT offset, selector, attributes
	movw	$\selector, VMCB + \offset
	movw	$\attributes, VMCB + \offset + ATTRIBUTES
	movl	$0xffffffff, VMCB + \offset + LIMIT
.endm

.macro DESCRIPTOR_TABLE offset, table, table_end
	FIELD	\offset + LIMIT, \table_end - \table - 1
	FIELD	\offset + BASE, \table
.endm

start:
	ENTER_PHASE 1
	SET	DATA_WORD(1), 0
	SET	DATA_WORD(5), 0
	SET	DATA_WORD(12), 0
	SET_UP_TABLES
	INSTALL_HANDLER VECTOR_INTERRUPT, tick
	INSTALL_HANDLER VECTOR_BOUND_RANGE, injected
	INSTALL_HANDLER VECTOR_INJECTED, injected
	ENABLE_APIC_IF_PRESENT

	/* A program that is run on after its end begins anew: with an empty block. */
	cld
	movl	$VMCB, %edi
	xorl	%eax, %eax
	movl	$(0x1000 / 8), %ecx
	rep stosq

	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_SVME, %eax
	wrmsr
	movl	%eax, VMCB + SAVED_EFER
	WRITE_MSR MSR_VM_HSAVE_PA, HOST_SAVE_AREA

	FIELD	INTERCEPTS_1, (INTERCEPT_INTR | INTERCEPT_IO | INTERCEPT_MSR | INTERCEPT_SHUTDOWN)
	FIELD	INTERCEPTS_2, (INTERCEPT_VMRUN | INTERCEPT_VMMCALL)
	FIELD	PORT_BITMAP_ADDRESS, PORT_BITMAP
	FIELD	MSR_BITMAP_ADDRESS, MSR_BITMAP
	FIELD	ASID, 1
	FIELD	VIRTUAL_INTERRUPTS, V_INTR_MASKING
	SEGMENT	ES, 0x10, FLAT_DATA
	SEGMENT	CS, 0x08, LONG_CODE
	SEGMENT	SS, 0x10, FLAT_DATA
	SEGMENT	DS, 0x10, FLAT_DATA
	DESCRIPTOR_TABLE GDTR, gdt, gdt_end
	DESCRIPTOR_TABLE IDTR, idt, idt_end
	COPY	%cr0, SAVED_CR0
	COPY	%cr3, SAVED_CR3
	COPY	%cr4, SAVED_CR4
	FIELD	SAVED_DR6, 0xffff0ff0		/* as after a reset, as is DR7 */
	FIELD	SAVED_DR7, 0x400
	FIELD	SAVED_RFLAGS, 0x2		/* the bit that is always set; interrupts off */
	FIELD	SAVED_RIP, second_level
	FIELD	SAVED_RSP, SECOND_STACK_TOP

	/* The global interrupt flag is off from clgi to stgi, but for the time in L2. Interrupts are on
	 * in L1's flags, so that one takes L2 out, and is then taken at stgi. */
enter_second_level:
	COUNT	DATA_WORD(5)
	movl	DATA_WORD(7), %eax
	movl	%eax, VMCB + EVENT_INJECTION
	testl	%eax, %eax
	jz	nothing_injected
	COUNT	DATA_WORD(8)
nothing_injected:
	movl	$VMCB, %eax
	clgi
	sti
	vmrun	%rax
	stgi
	nop
	cli
	COUNT	DATA_WORD(1)
	mov	VMCB + EXIT_CODE, %eax
	mov	%eax, DATA_WORD(2)
	mov	VMCB + EXIT_CODE + 4, %ecx
	mov	%ecx, DATA_WORD(3)
	testl	%ecx, %ecx
	jnz	unexpected
	cmpl	$EXIT_VMMCALL, %eax
	je	second_level_left
	cmpl	$EXIT_INTR, %eax
	jne	unexpected
	POLL_STOP
	jmp	enter_second_level
second_level_left:
	POLL_STOP
	FIELD	SAVED_RIP, second_level
	jmp	enter_second_level
unexpected:
	movb	$DONE_UNEXPECTED, %al
	jmp	leave

second_level:
	ENTER_PHASE 2
turn:
	BEAT
	cmpl	$0, DATA_WORD(6)
	je	no_msr
	movl	DATA_WORD(6), %ecx
	rdmsr
no_msr:
	movl	DATA_WORD(10), %edx
	testl	%edx, %edx
	jz	no_input
	movl	$INPUT, %edi
	insb
no_input:
	movl	DATA_WORD(11), %esi
	testl	%esi, %esi
	jz	no_load
	movl	(%rsi), %eax
	movl	%eax, INPUT
no_load:
	cmpl	$0, DATA_WORD(4)
	jne	away
	cmpl	$0, STOP
	je	turn
	COUNT	DATA_WORD(12)
away:
	vmmcall
	ud2				/* L1 does not come back here */

	LEAVE

	TICK_HANDLER tick, 0
	COUNTING_HANDLER injected, DATA_WORD(9)

	TABLES
