/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pages: touches one word of each page of a range, over and over. Protected and long mode only:
 * real mode does not reach far enough.
 *
 * Phases: 1 before the first page of each pass.
 * Data in:  data[0] address of the first page; data[1] pages (0: none, it only polls);
 *           data[2] 0: store the heartbeat, 1: load. Read anew at each pass (data[2]: each page).
 *           data[5] 1: leave by PORT_SYNC after each page. Read anew at each page.
 * Data out: data[3] the word loaded last; data[4] passes done.
 * Registers: edi/rdi the page's address, ecx/rcx the pages left.
 * Heartbeat: + 1 after each page.
 * Leaves: when the stop word is set, after each page.
 */
#include "program.inc"

#if defined(MODE_REAL)
#error "real mode does not reach the pages"
#elif defined(MODE_PROTECTED)
#define WORD	(%edi)
#else
#define WORD	(%rdi)
#endif

start:
pass:
	ENTER_PHASE 1
	POLL_STOP
	mov	DATA_WORD(0), DI
	mov	DATA_WORD(1), CX
	test	CX, CX
	jz	pass
page:
	cmpl	$1, DATA_WORD(2)
	je	load
	mov	HEARTBEAT, AX
	mov	AX, WORD
	jmp	touched
load:
	mov	WORD, AX
	mov	AX, DATA_WORD(3)
touched:
	BEAT
	cmpl	$1, DATA_WORD(5)
	jne	stay
	outb	%al, $PORT_SYNC
stay:
	POLL_STOP
	add	$0x1000, DI
	dec	CX
	jnz	page
	COUNT	DATA_WORD(4)
	jmp	pass

	LEAVE
