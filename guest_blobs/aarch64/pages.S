/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pages: touches one word of each page of a range, over and over.
 *
 * Phases: 1 before the first page of each pass.
 * Data in:  data[0] address of the first page; data[1] pages (0: none, it only polls);
 *           data[2] 0: store the heartbeat, 1: load. Read anew at each pass (data[2]: each page).
 *           data[5] 1: say sync after each page. Read anew at each page.
 *           data[6] bytes of a page of the host's, by which KVM keeps account.
 * Data out: data[3] the word loaded last; data[4] passes done.
 * Registers: x2 the page's address, x3 the pages left, x4 the bytes of a page, x5 SYNC_WORD.
 * Heartbeat: + 1 after each page.
 * Leaves: when the stop word is set, after each page.
 */
#include "program.inc"

	PROGRAM_BEGINS
start:
	SET_UP
	LOAD	x5, SYNC_WORD
pass:
	ENTER_PHASE 1
	POLL_STOP
	ldr	x2, WORD(DATA_WORD(0))
	ldr	x3, WORD(DATA_WORD(1))
	ldr	x4, WORD(DATA_WORD(6))
	cbz	x3, pass
page:
	ldr	w9, WORD(DATA_WORD(2))
	cmp	w9, #1
	b.eq	load
	ldr	x0, WORD(HEARTBEAT)
	str	x0, [x2]
	b	touched
load:
	ldr	x0, [x2]
	str	x0, WORD(DATA_WORD(3))
touched:
	BEAT
	ldr	w9, WORD(DATA_WORD(5))
	cmp	w9, #1
	b.ne	stay
	str	w9, [x5]
stay:
	POLL_STOP
	add	x2, x2, x4
	sub	x3, x3, #1
	cbnz	x3, page
	COUNT	DATA_WORD(4)
	b	pass

	LEAVE
