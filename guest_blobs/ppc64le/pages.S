/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pages: touches one word of each page of a range, over and over.
 *
 * Phases: 1 before the first page of each pass.
 * Data in:  data[0] address of the first page; data[1] pages (0: none, it only polls);
 *           data[2] 0: store the heartbeat, 1: load. Read anew at each pass (data[2]: each page).
 *           data[5] 1: say sync after each page. Read anew at each page.
 *           data[6] bytes of a page.
 * Data out: data[3] the word loaded last; data[4] passes done.
 * Registers: r17 the page's address, r18 the pages left, r19 the bytes of a page.
 * Heartbeat: + 1 after each page.
 * Leaves: when the stop word is set, after each page.
 */
#include "program.inc"

start:
	SET_UP
	ADDRESS	15, SYNC_WORD
pass:
	ENTER_PHASE 1
	POLL_STOP
	ld	17, WORD(DATA_WORD(0))
	ld	18, WORD(DATA_WORD(1))
	ld	19, WORD(DATA_WORD(6))
	cmpdi	18, 0
	beq	pass
page:
	ld	3, WORD(DATA_WORD(2))
	cmpdi	3, 1
	beq	load
	ld	3, WORD(HEARTBEAT)
	std	3, 0(17)
	b	touched
load:
	ld	3, 0(17)
	std	3, WORD(DATA_WORD(3))
touched:
	BEAT
	ld	3, WORD(DATA_WORD(5))
	cmpdi	3, 1
	bne	stay
	stw	3, 0(15)
stay:
	POLL_STOP
	add	17, 17, 19
	addi	18, 18, -1
	cmpdi	18, 0
	bne	page
	COUNT	DATA_WORD(4)
	b	pass

	LEAVE
