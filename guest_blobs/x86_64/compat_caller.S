/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat_caller: no guest's program, but a program of the host with 32 bits. It makes the system calls
 * that it is told, by int $0x80, so that the kernel serves them as a 32-bit program's. It is a whole
 * ELF file, to be executed as it is: no linker and no library with 32 bits is needed.
 *
 * It reads from descriptor 0, for each call, seven words of 32 bits: the call's number (of
 * arch/x86/entry/syscalls/syscall_32.tbl) and six arguments. To descriptor 1 it writes what the call
 * returned, one word. Whoever tells it can read and write its memory by the calls write(1, ...) and
 * read(0, ...).
 *
 * Data: the last 2048 bytes of its page are room for structs.
 * Leaves: at the end of descriptor 0.
 */
	.code32
	.text
	.globl start

#define SYS_EXIT	1
#define SYS_READ	3
#define SYS_WRITE	4
#define WORDS		7

/* The ELF header and one program header (System V ABI, chapters 4 and 5). The file is its only segment,
 * with all rights. */
base:
	.byte	0x7f, 0x45, 0x4c, 0x46		/* magic */
	.byte	1, 1, 1, 0			/* 32 bits, little-endian, version 1, System V */
	.quad	0
	.word	2, 3				/* executable, Intel 80386 */
	.long	1				/* version 1 */
	.long	start
	.long	segment - base			/* where the program headers are */
	.long	0, 0				/* no sections, no flags */
	.word	segment - base, segment_end - segment, 1
	.word	0, 0, 0
segment:
	.long	1				/* loaded */
	.long	0				/* from the file's begin */
	.long	base, base
	.long	end - base, 0x1000		/* in the file, and in memory */
	.long	7				/* readable, writable, executable */
	.long	0x1000
segment_end:

start:
	movl	$SYS_READ, %eax
	xorl	%ebx, %ebx
	movl	$call, %ecx
	movl	$(4 * WORDS), %edx
	int	$0x80
	cmpl	$(4 * WORDS), %eax
	jne	over
	movl	call, %eax
	movl	call + 4, %ebx
	movl	call + 8, %ecx
	movl	call + 12, %edx
	movl	call + 16, %esi
	movl	call + 20, %edi
	movl	call + 24, %ebp
	int	$0x80
	movl	%eax, answer
	movl	$SYS_WRITE, %eax
	movl	$1, %ebx
	movl	$answer, %ecx
	movl	$4, %edx
	int	$0x80
	jmp	start
over:
	movl	$SYS_EXIT, %eax
	xorl	%ebx, %ebx
	int	$0x80

	.balign	4, 0
call:
	.fill	WORDS, 4, 0
answer:
	.long	0
end:
